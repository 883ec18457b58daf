"""Validation of a pod's spec, wherever it stands."""

from __future__ import annotations

from dev.kube import errors
from dev.kube.errors import Cause
from dev.kube.schema import Json

_PULL_POLICIES = ["Always", "IfNotPresent", "Never"]
_RESTART_POLICIES = ["Always", "OnFailure", "Never"]


def pod_spec_problems(spec: Json, path: str) -> list[Cause]:
    """What is wrong with a PodSpec that stands at `path`."""
    found = []
    if not spec.get("containers"):
        found.append(errors.required(f"{path}.containers"))
    policy = spec.get("restartPolicy")
    if policy is not None and policy not in _RESTART_POLICIES:
        found.append(errors.not_supported(f"{path}.restartPolicy", policy, _RESTART_POLICIES))
    volumes = [volume.get("name") for volume in spec.get("volumes") or ()]
    names: set[str] = set()
    for group in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(group) or ()):
            here = f"{path}.{group}[{index}]"
            found += _container_problems(container, here, volumes)
            name = container.get("name")
            if name in names:
                text = f"Duplicate value: {errors.render(name)}"
                found.append(errors.cause("FieldValueDuplicate", f"{here}.name", text))
            names.add(name)
    return found


def _container_problems(container: Json, path: str, volumes: list[str]) -> list[Cause]:
    found = []
    if not container.get("name"):
        found.append(errors.required(f"{path}.name"))
    if not container.get("image"):
        found.append(errors.required(f"{path}.image"))
    policy = container.get("imagePullPolicy")
    if policy is not None and policy not in _PULL_POLICIES:
        found.append(errors.not_supported(f"{path}.imagePullPolicy", policy, _PULL_POLICIES))
    ports = container.get("ports") or ()
    for index, port in enumerate(ports):
        name = port.get("name")
        if name and name in {before.get("name") for before in ports[:index]}:
            found.append(errors.duplicate(f"{path}.ports[{index}].name", name))
        number = port.get("containerPort")
        if isinstance(number, int) and not 1 <= number <= 65535:
            where = f"{path}.ports[{index}].containerPort"
            text = "must be between 1 and 65535, inclusive"
            found.append(errors.invalid_value(where, number, text))
    for index, mount in enumerate(container.get("volumeMounts") or ()):
        if mount.get("name") not in volumes:
            where = f"{path}.volumeMounts[{index}].name"
            text = f"Not found: {errors.render(mount.get('name'))}"
            found.append(errors.cause("FieldValueNotFound", where, text))
    return found
