"""Validation of the built-in kinds beyond their types: the mistakes people really make.

Each check returns Status causes worded like the real server's; an empty list is a valid object.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from dev.kube import errors
from dev.kube.custom import crd_problems
from dev.kube.errors import Cause
from dev.kube.pod_rules import pod_spec_problems
from dev.kube.schema import Json, Node
from dev.kube.selectors import selects

_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL_VALUE: Final = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
_QUALIFIED: Final = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_SUBDOMAIN_TEXT: Final = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used "
    r"for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_LABEL_TEXT: Final = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and "
    "must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used "
    "for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_LABEL_VALUE_TEXT: Final = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  "
    "or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_FREE_NAMES: Final = frozenset({"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"})


def name_problems(kind: str, name: str) -> list[Cause]:
    """What is wrong with an object's name."""
    path = "metadata.name"
    if not name:
        return [errors.required(path, "name or generateName is required")]
    if kind in _FREE_NAMES:
        return _path_segment(name, path)
    if kind in {"Namespace", "Service"}:
        return _matches(_LABEL, name, path, _LABEL_TEXT, 63)
    return _matches(_SUBDOMAIN, name, path, _SUBDOMAIN_TEXT, 253)


def _path_segment(name: str, path: str) -> list[Cause]:
    if name in {".", ".."} or "/" in name or "%" in name:
        return [errors.invalid_value(path, name, "may not contain '/' or '%'")]
    return []


def _matches(
    pattern: re.Pattern[str], value: str, path: str, text: str, longest: int
) -> list[Cause]:
    if len(value) > longest:
        return [errors.invalid_value(path, value, f"must be no more than {longest} characters")]
    return [] if pattern.fullmatch(value) else [errors.invalid_value(path, value, text)]


def metadata_problems(metadata: Json) -> list[Cause]:
    """What is wrong with labels, annotations and owner references."""
    found = []
    for key, value in (metadata.get("labels") or {}).items():
        found += _key_problems(key, "metadata.labels")
        if len(str(value)) > 63:
            text = "must be no more than 63 characters"
            found.append(errors.invalid_value("metadata.labels", value, text))
        elif not _LABEL_VALUE.fullmatch(str(value)):
            found.append(errors.invalid_value("metadata.labels", value, _LABEL_VALUE_TEXT))
    for key in metadata.get("annotations") or {}:
        found += _key_problems(key, "metadata.annotations")
    for index, owner in enumerate(metadata.get("ownerReferences") or ()):
        for name in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(name):
                path = f"metadata.ownerReferences[{index}].{name}"
                found.append(errors.invalid_value(path, "", f"{name} must not be empty"))
    return found


def _key_problems(key: str, path: str) -> list[Cause]:
    prefix, _, name = key.rpartition("/")
    good = _QUALIFIED.fullmatch(name) and len(name) <= 63
    if good and (not prefix or _SUBDOMAIN.fullmatch(prefix)):
        return []
    text = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and"
    return [errors.invalid_value(path, key, f"{text} end with an alphanumeric character")]


def missing_fields(node: Node, value: Any, path: str = "") -> list[Cause]:
    """Required members that are absent, outside `metadata` and `status`."""
    found = []
    if isinstance(value, dict):
        found += [
            errors.required(f"{path}.{key}".lstrip("."))
            for key in node.required
            if value.get(key) is None and not (path == "" and key in {"metadata", "status"})
        ]
        for key, below in value.items():
            if path == "" and key in {"metadata", "status"}:
                continue
            found += missing_fields(node.child(key), below, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list) and node.items is not None:
        for index, item in enumerate(value):
            found += missing_fields(node.items, item, f"{path}[{index}]")
    return found


def object_problems(kind: str, obj: Json, old: Json | None) -> list[Cause]:
    """What is wrong with an object of a built-in kind; `old` is the state it replaces."""
    check = _CHECKS.get(kind)
    return check(obj, old) if check else []


def _workload(obj: Json, old: Json | None) -> list[Cause]:
    spec = obj.get("spec") or {}
    found = []
    if (spec.get("replicas") or 0) < 0:
        text = "must be greater than or equal to 0"
        found.append(errors.invalid_value("spec.replicas", spec["replicas"], text))
    template = spec.get("template") or {}
    labels = (template.get("metadata") or {}).get("labels") or {}
    selector = spec.get("selector")
    if isinstance(selector, dict) and obj["kind"] != "Job":
        simple = obj["kind"] == "ReplicationController"
        wanted = {"matchLabels": selector} if simple else selector
        if not selects(wanted, labels):
            text = "`selector` does not match template `labels`"
            found.append(errors.invalid_value("spec.template.metadata.labels", labels, text))
    if old is not None and obj["kind"] != "ReplicationController":
        found += _immutable(old, obj, "spec", "selector")
    return found + pod_spec_problems(template.get("spec") or {}, "spec.template.spec")


def _immutable(old: Json, new: Json, *path: str) -> list[Cause]:
    before: Any = old
    after: Any = new
    for part in path:
        before = (before or {}).get(part)
        after = (after or {}).get(part)
    if before == after:
        return []
    return [errors.invalid_value(".".join(path), after, "field is immutable")]


_STATEFUL_MUTABLE: Final = frozenset({
    "replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy", "minReadySeconds",
})  # fmt: skip


def _stateful_set(obj: Json, old: Json | None) -> list[Cause]:
    found = _workload(obj, None)
    if old is not None:
        keys = (old["spec"].keys() | obj["spec"].keys()) - _STATEFUL_MUTABLE
        if any(old["spec"].get(key) != obj["spec"].get(key) for key in keys):
            text = (
                "Forbidden: updates to statefulset spec for fields other than 'replicas', "
                "'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', "
                "'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
            )
            found.append(errors.cause("FieldValueForbidden", "spec", text))
    return found


def _job(obj: Json, old: Json | None) -> list[Cause]:
    found = _workload(obj, None)
    policy = ((obj["spec"].get("template") or {}).get("spec") or {}).get("restartPolicy")
    if policy == "Always":
        path = "spec.template.spec.restartPolicy"
        found.append(errors.not_supported(path, policy, ["OnFailure", "Never"]))
    if old is not None:
        found += _immutable(old, obj, "spec", "selector")
        found += _immutable(old, obj, "spec", "template")
        found += _immutable(old, obj, "spec", "completions")
    return found


def _cron_job(obj: Json, old: Json | None) -> list[Cause]:
    schedule = (obj.get("spec") or {}).get("schedule")
    if schedule and len(schedule.split()) != 5 and not schedule.startswith("@"):
        text = f"expected exactly 5 fields, found {len(schedule.split())}: [{schedule}]"
        return [errors.invalid_value("spec.schedule", schedule, text)]
    return []


def _service(obj: Json, old: Json | None) -> list[Cause]:
    spec, found = obj.get("spec") or {}, []
    kind = spec.get("type")
    types = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"]
    if kind not in types:
        found.append(errors.not_supported("spec.type", kind, types))
    ports = spec.get("ports") or []
    if not ports and kind != "ExternalName" and spec.get("clusterIP") != "None":
        found.append(errors.required("spec.ports"))
    for index, port in enumerate(ports):
        number = port.get("port")
        if isinstance(number, int) and not 1 <= number <= 65535:
            text = "must be between 1 and 65535, inclusive"
            found.append(errors.invalid_value(f"spec.ports[{index}].port", number, text))
        if len(ports) > 1 and not port.get("name"):
            found.append(errors.required(f"spec.ports[{index}].name"))
        elif port.get("name") in {before.get("name") for before in ports[:index]}:
            found.append(errors.duplicate(f"spec.ports[{index}].name", port["name"]))
    if old is not None and kind != "ExternalName" and old["spec"].get("clusterIP"):
        before, after = old["spec"]["clusterIP"], spec.get("clusterIP")
        if before != after and old["spec"].get("type") != "ExternalName":
            found.append(
                errors.invalid_value("spec.clusterIPs[0]", [after], "may not change once set")
            )
    return found


def _keyed_data(obj: Json, old: Json | None) -> list[Cause]:
    found = []
    for field in ("data", "binaryData"):
        for key in obj.get(field) or {}:
            if not re.fullmatch(r"[-._a-zA-Z0-9]+", key) or len(key) > 253:
                text = (
                    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' "
                    "(e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation "
                    "is '[-._a-zA-Z0-9]+')"
                )
                found.append(errors.invalid_value(f"{field}[{key}]", key, text))
    if old is not None and old.get("immutable"):
        for field in ("data", "binaryData", "immutable"):
            if old.get(field) != obj.get(field):
                text = "Forbidden: field is immutable when `immutable` is set"
                found.append(errors.cause("FieldValueForbidden", field, text))
    if old is not None and obj["kind"] == "Secret":
        found += _immutable(old, obj, "type")
    return found


def _binding(obj: Json, old: Json | None) -> list[Cause]:
    if old is not None and old.get("roleRef") != obj.get("roleRef"):
        return [errors.invalid_value("roleRef", obj.get("roleRef"), "cannot change roleRef")]
    return []


def _pod(obj: Json, old: Json | None) -> list[Cause]:
    found = pod_spec_problems(obj.get("spec") or {}, "spec")
    if old is not None and _pinned(old["spec"]) != _pinned(obj["spec"]):
        text = (
            "Forbidden: pod updates may not change fields other than `spec.containers[*].image`,"
            "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only "
            "additions to existing tolerations),`spec.terminationGracePeriodSeconds`"
        )
        found.append(errors.cause("FieldValueForbidden", "spec", text))
    return found


def _pinned(spec: Json) -> Json:
    """The part of a pod's spec that no update may change."""
    free = {
        "activeDeadlineSeconds", "tolerations", "nodeName", "schedulingGates",
        "terminationGracePeriodSeconds", "ephemeralContainers",
    }  # fmt: skip
    kept = {key: value for key, value in spec.items() if key not in free}
    for group in ("containers", "initContainers"):
        kept[group] = [{**item, "image": "", "resources": {}} for item in spec.get(group) or ()]
    return kept


def _claim(obj: Json, old: Json | None) -> list[Cause]:
    if old is None:
        return []
    free = {"resources", "volumeName", "volumeAttributesClassName", "storageClassName"}
    before = {key: value for key, value in old["spec"].items() if key not in free}
    after = {key: value for key, value in obj["spec"].items() if key not in free}
    if before == after:
        return []
    text = (
        "Forbidden: spec is immutable after creation except resources.requests and "
        "volumeAttributesClassName for bound claims"
    )
    return [errors.cause("FieldValueForbidden", "spec", text)]


_CHECKS: Final[dict[str, Callable[[Json, Json | None], list[Cause]]]] = {
    "ClusterRoleBinding": _binding,
    "ConfigMap": _keyed_data,
    "CronJob": _cron_job,
    "CustomResourceDefinition": lambda obj, old: crd_problems(obj),
    "DaemonSet": _workload,
    "Deployment": _workload,
    "Job": _job,
    "PersistentVolumeClaim": _claim,
    "Pod": _pod,
    "ReplicaSet": _workload,
    "ReplicationController": _workload,
    "RoleBinding": _binding,
    "Secret": _keyed_data,
    "Service": _service,
    "StatefulSet": _stateful_set,
}
