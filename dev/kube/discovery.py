"""What the cluster serves: `/api`, `/apis`, per group version, and aggregated (KEP-3352)."""

from __future__ import annotations

from collections.abc import Iterable

from dev.kube.custom import version_rank
from dev.kube.registry import Registry
from dev.kube.resources import VERBS, Resource
from dev.kube.schema import Json

AGGREGATED_TYPE = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
#: Create-only kinds that store nothing: (group, plural, kind, namespaced).
REVIEWS = (
    ("authentication.k8s.io", "tokenreviews", "TokenReview", False),
    ("authentication.k8s.io", "selfsubjectreviews", "SelfSubjectReview", False),
    ("authorization.k8s.io", "selfsubjectaccessreviews", "SelfSubjectAccessReview", False),
    ("authorization.k8s.io", "selfsubjectrulesreviews", "SelfSubjectRulesReview", False),
    ("authorization.k8s.io", "subjectaccessreviews", "SubjectAccessReview", False),
    ("authorization.k8s.io", "localsubjectaccessreviews", "LocalSubjectAccessReview", True),
)
_WRITE = ("get", "patch", "update")
_SUBRESOURCE_KINDS = {
    "eviction": ("policy", "v1", "Eviction", ("create",)),
    "binding": ("", "v1", "Binding", ("create",)),
    "token": ("authentication.k8s.io", "v1", "TokenRequest", ("create",)),
    "scale": ("autoscaling", "v1", "Scale", _WRITE),
}


def api_versions(host: str) -> Json:
    """`/api`."""
    addresses = [{"clientCIDR": "0.0.0.0/0", "serverAddress": host}]
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": addresses,
    }


def groups(registry: Registry) -> dict[str, list[str]]:
    """Every named group with its versions, preferred first."""
    found: dict[str, list[str]] = {}
    for group, version in _group_versions(registry):
        if group:
            found.setdefault(group, []).append(version)
    for versions in found.values():
        versions.sort(key=version_rank, reverse=True)
    return found


def _group_versions(registry: Registry) -> list[tuple[str, str]]:
    pairs = {(item.group, item.version): None for item in registry.all()}
    pairs.update({(group, "v1"): None for group, *_ in REVIEWS})
    return list(pairs)


def api_group_list(registry: Registry) -> Json:
    """`/apis`."""
    return {
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": [_group(name, versions) for name, versions in groups(registry).items()],
    }


def api_group(registry: Registry, name: str) -> Json | None:
    """`/apis/GROUP`."""
    versions = groups(registry).get(name)
    if versions is None:
        return None
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, versions)}


def _group(name: str, versions: list[str]) -> Json:
    listed = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def _served(registry: Registry, group: str, version: str) -> list[Resource]:
    return [item for item in registry.all() if (item.group, item.version) == (group, version)]


def _reviews(group: str, version: str) -> Iterable[tuple[str, str, bool]]:
    for owner, plural, kind, namespaced in REVIEWS:
        if (owner, "v1") == (group, version):
            yield plural, kind, namespaced


def api_resource_list(registry: Registry, group: str, version: str) -> Json | None:
    """`/api/v1` and `/apis/GROUP/VERSION`."""
    listed: list[Json] = []
    for resource in _served(registry, group, version):
        listed.append(_legacy_entry(resource))
        for name, subgroup, subversion, kind, verbs in _subresources(resource):
            entry = {
                "name": f"{resource.plural}/{name}",
                "singularName": "",
                "namespaced": resource.namespaced,
                "kind": kind,
                "verbs": list(verbs),
            }
            if (subgroup, subversion) != (group, version):
                entry.update(group=subgroup, version=subversion)
            listed.append(entry)
    for plural, kind, namespaced in _reviews(group, version):
        listed.append({
            "name": plural, "singularName": kind.lower(), "namespaced": namespaced,
            "kind": kind, "verbs": ["create"],
        })  # fmt: skip
    if not listed:
        return None
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": f"{group}/{version}" if group else version,
        "resources": listed,
    }


def _legacy_entry(resource: Resource) -> Json:
    entry: Json = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(VERBS),
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    return entry


def _subresources(
    resource: Resource,
) -> Iterable[tuple[str, str, str, str, tuple[str, ...]]]:
    names = list(resource.subresources)
    if resource.has_status:
        names.append("status")
    if resource.scale:
        names.append("scale")
    for name in names:
        default = (resource.group, resource.version, resource.kind, _WRITE)
        group, version, kind, verbs = _SUBRESOURCE_KINDS.get(name, default)
        yield name, group, version, kind, verbs


def aggregated(registry: Registry, *, core: bool) -> Json:
    """`/api` or `/apis` in one document (`apidiscovery.k8s.io/v2`)."""
    named = {"": ["v1"]} if core else groups(registry)
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": [
            {
                "metadata": {"name": group} if group else {},
                "versions": [_version(registry, group, version) for version in versions],
            }
            for group, versions in named.items()
        ],
    }


def _version(registry: Registry, group: str, version: str) -> Json:
    listed = [_entry(resource) for resource in _served(registry, group, version)]
    for plural, kind, namespaced in _reviews(group, version):
        listed.append({
            "resource": plural,
            "responseKind": {"group": group, "version": version, "kind": kind},
            "scope": "Namespaced" if namespaced else "Cluster",
            "singularResource": kind.lower(),
            "verbs": ["create"],
        })  # fmt: skip
    return {"version": version, "freshness": "Current", "resources": listed}


def _entry(resource: Resource) -> Json:
    entry: Json = {
        "resource": resource.plural,
        "responseKind": {
            "group": resource.group,
            "version": resource.version,
            "kind": resource.kind,
        },
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": list(VERBS),
        "shortNames": list(resource.short_names),
        "categories": list(resource.categories),
    }
    subresources = [
        {
            "subresource": name,
            "responseKind": {"group": group, "version": version, "kind": kind},
            "verbs": list(verbs),
        }
        for name, group, version, kind, verbs in _subresources(resource)
    ]
    if subresources:
        entry["subresources"] = subresources
    return {key: value for key, value in entry.items() if value not in ([], ())}
