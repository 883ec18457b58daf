"""Resources from CustomResourceDefinitions, and the checks and conditions of a CRD itself."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

from dev.kube import errors
from dev.kube.crd_schema import crd_node
from dev.kube.errors import Cause
from dev.kube.jsonpath import first_value
from dev.kube.resources import Column, Resource, ScalePaths
from dev.kube.schema import Json


def custom_resources(crd: Json) -> tuple[Resource, ...]:
    """One resource per served version, in order of preference; the storage version is included."""
    spec = crd["spec"]
    stored = next(item["name"] for item in spec["versions"] if item.get("storage"))
    versions = [item for item in spec["versions"] if item.get("served") or item.get("storage")]
    versions.sort(key=lambda item: version_rank(item["name"]), reverse=True)
    return tuple(_resource(spec, version, stored) for version in versions)


def version_rank(version: str) -> tuple[int, int, int]:
    """Order of API versions: v2 over v1 over v1beta1 over v1alpha1 over anything else."""
    found = re.fullmatch(r"v(\d+)(?:(alpha|beta)(\d+))?", version)
    if found is None:
        return (0, 0, 0)
    stage = {"alpha": 1, "beta": 2, None: 3}[found[2]]
    return (stage, int(found[1]), int(found[3] or 0))


def _resource(spec: Json, version: Json, stored: str) -> Resource:
    names, group = spec["names"], spec["group"]
    subresources = version.get("subresources") or {}
    scale = subresources.get("scale")
    columns = version.get("additionalPrinterColumns")
    selectable = (item["jsonPath"].lstrip(".") for item in version.get("selectableFields") or ())
    return Resource(
        group=group,
        version=version["name"],
        plural=names["plural"],
        singular=names.get("singular") or names["kind"].lower(),
        kind=names["kind"],
        namespaced=spec["scope"] == "Namespaced",
        load_node=partial(crd_node, (version.get("schema") or {}).get("openAPIV3Schema")),
        storage=(group, names["plural"]),
        storage_version=f"{group}/{stored}",
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        has_status="status" in subresources,
        scale=_scale(scale) if scale else None,
        has_generation=True,
        custom=True,
        columns=tuple(_column(item) for item in columns) if columns else None,
        selectable=frozenset(selectable),
        list_kind=names.get("listKind") or "",
    )


def _scale(scale: Json) -> ScalePaths:
    return ScalePaths(
        scale["specReplicasPath"].lstrip("."),
        scale["statusReplicasPath"].lstrip("."),
        (scale.get("labelSelectorPath") or "").lstrip("."),
    )


def _column(column: Json) -> Column:
    path = column["jsonPath"]
    return Column(
        name=column["name"],
        type=column.get("type", "string"),
        read=lambda obj: first_value(obj, path),
        priority=column.get("priority", 0),
        description=column.get("description", ""),
        format=column.get("format", ""),
    )


def crd_problems(crd: Json) -> list[Cause]:
    """What a CustomResourceDefinition gets wrong, as the real server words it."""
    spec, found = crd.get("spec") or {}, []
    names = spec.get("names") or {}
    for path, value in (
        ("spec.group", spec.get("group")),
        ("spec.scope", spec.get("scope")),
        ("spec.names.plural", names.get("plural")),
        ("spec.names.kind", names.get("kind")),
        ("spec.versions", spec.get("versions")),
    ):
        if not value:
            found.append(errors.required(path))
    if found:
        return found
    wanted = f"{names['plural']}.{spec['group']}"
    if crd["metadata"].get("name") != wanted:
        text = 'must be spec.names.plural+"."+spec.group'
        found.append(errors.invalid_value("metadata.name", crd["metadata"].get("name"), text))
    if spec["scope"] not in {"Namespaced", "Cluster"}:
        found.append(errors.not_supported("spec.scope", spec["scope"], ["Cluster", "Namespaced"]))
    if sum(bool(item.get("storage")) for item in spec["versions"]) != 1:
        text = "must have exactly one version marked as storage version"
        found.append(errors.invalid_value("spec.versions", "", text))
    for index, version in enumerate(spec["versions"]):
        found += _version_problems(version, f"spec.versions[{index}]")
    return found


def _version_problems(version: Json, path: str) -> list[Cause]:
    schema = (version.get("schema") or {}).get("openAPIV3Schema")
    if schema is None:
        text = "schemas are required"
        return [errors.required(f"{path}.schema.openAPIV3Schema", text)]
    if schema.get("type") != "object":
        where = f"{path}.schema.openAPIV3Schema.type"
        return [errors.invalid_value(where, schema.get("type", ""), "must be object at the root")]
    return _untyped(schema, f"{path}.schema.openAPIV3Schema")


def _untyped(schema: Json, path: str) -> list[Cause]:
    """Structural schemas give every node a type (KEP-20190425)."""
    found = []
    free = ("x-kubernetes-int-or-string", "x-kubernetes-preserve-unknown-fields")
    if not schema.get("type") and not any(schema.get(mark) for mark in free):
        found.append(
            errors.required(f"{path}.type", "must not be empty for specified object fields")
        )
    for name, below in (schema.get("properties") or {}).items():
        found += _untyped(below, f"{path}.properties[{name}]")
    for word in ("items", "additionalProperties"):
        if isinstance(schema.get(word), dict):
            found += _untyped(schema[word], f"{path}.{word}")
    return found


def crd_status(crd: Json, now: str) -> Json:
    """The status of an accepted definition: names accepted, established, versions stored."""
    old: Json = crd.get("status") or {}
    conditions: list[Any] = list(old.get("conditions") or ())
    have = {item["type"] for item in conditions}
    for kind, reason, message in (
        ("NamesAccepted", "NoConflicts", "no conflicts found"),
        ("Established", "InitialNamesAccepted", "the initial names have been accepted"),
    ):
        if kind not in have:
            conditions.append(
                {
                    "type": kind,
                    "status": "True",
                    "lastTransitionTime": now,
                    "reason": reason,
                    "message": message,
                }
            )
    stored = next(item["name"] for item in crd["spec"]["versions"] if item.get("storage"))
    versions = list(old.get("storedVersions") or ())
    return {
        **old,
        "acceptedNames": crd["spec"]["names"],
        "conditions": conditions,
        "storedVersions": versions if stored in versions else [*versions, stored],
    }
