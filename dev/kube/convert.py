"""Between the served and the stored version of an object.

Custom resources change nothing but `apiVersion`; the two built-ins that are served in two shapes
(HorizontalPodAutoscaler v1 and v2, Event of the core and of the events group) are renamed here.
"""

from __future__ import annotations

from typing import Any

from dev.kube.resources import Resource
from dev.kube.schema import Json

#: Core Event member -> events.k8s.io Event member.
_EVENT_NAMES = {
    "involvedObject": "regarding",
    "message": "note",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
    "reportingComponent": "reportingController",
}


def to_stored(resource: Resource, obj: Json) -> Json:
    """The object as it is stored."""
    return _convert(resource, obj, resource.storage_version)


def to_served(resource: Resource, obj: Json) -> Json:
    """The object at the version of `resource`."""
    return _convert(resource, obj, resource.api_version)


def _convert(resource: Resource, obj: Json, wanted: str) -> Json:
    if obj.get("apiVersion") == wanted:
        return obj
    result = {**obj, "apiVersion": wanted}
    if resource.custom:
        return result
    if resource.kind == "Event":
        to_core = wanted == "v1"
        return {_event_name(key, to_core): value for key, value in result.items()}
    if resource.kind == "HorizontalPodAutoscaler" and "spec" in result:
        convert = _autoscaler_v2 if wanted == "autoscaling/v2" else _autoscaler_v1
        result["spec"] = convert(result["spec"])
    return result


def _event_name(key: str, to_core: bool) -> str:
    if to_core:
        return next((core for core, new in _EVENT_NAMES.items() if new == key), key)
    return _EVENT_NAMES.get(key, key)


def _autoscaler_v2(spec: Json) -> Json:
    result = dict(spec)
    percent = result.pop("targetCPUUtilizationPercentage", None)
    if percent is not None:
        target = {"type": "Utilization", "averageUtilization": percent}
        result["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    return result


def _autoscaler_v1(spec: Json) -> Json:
    result = {key: value for key, value in spec.items() if key not in {"metrics", "behavior"}}
    for metric in spec.get("metrics") or ():
        source: dict[str, Any] = metric.get("resource") or {}
        if source.get("name") == "cpu":
            percent = (source.get("target") or {}).get("averageUtilization")
            if percent is not None:
                result["targetCPUUtilizationPercentage"] = percent
    return result
