"""Which resource, namespace, name and subresource a path means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dev.kube.errors import no_such_path
from dev.kube.registry import Registry
from dev.kube.resources import Resource

_NAMESPACE_SUBRESOURCES: Final = frozenset({"status", "finalize"})


class NoSuchGroupError(Exception):
    """No resource is served at this group and version: the path does not exist at all."""


@dataclass(frozen=True)
class Target:
    """What a request is about. Without a name it is the collection."""

    resource: Resource
    namespace: str = ""
    name: str = ""
    subresource: str = ""

    @property
    def in_namespace(self) -> str | None:
        """The namespace that a collection is limited to; None for all of them."""
        return self.namespace if self.namespace and self.resource.namespaced else None


def locate(registry: Registry, path: str) -> Target:
    """The target of `/api/v1/…` or `/apis/GROUP/VERSION/…`; raises `StatusError` 404."""
    group, version, rest = split(path)
    namespace = ""
    scoped = len(rest) >= 3 and rest[0] == "namespaces"
    if scoped and not (rest[2] in _NAMESPACE_SUBRESOURCES and len(rest) == 3 and not group):
        namespace, rest = rest[1], rest[2:]
    if not 1 <= len(rest) <= 3:
        raise no_such_path()
    if not registry.serves(group, version):
        raise NoSuchGroupError
    resource = registry.find(group, version, rest[0])
    if resource is None or (namespace and not resource.namespaced):
        raise no_such_path()
    name, subresource = [*rest[1:], "", ""][:2]
    if name and resource.namespaced and not namespace:
        raise no_such_path()
    if subresource and subresource not in subresources_of(resource):
        raise no_such_path()
    return Target(resource, namespace, name, subresource)


def subresources_of(resource: Resource) -> set[str]:
    """The names of a resource's subresources."""
    found = set(resource.subresources)
    if resource.has_status:
        found.add("status")
    if resource.scale:
        found.add("scale")
    return found


def split(path: str) -> tuple[str, str, list[str]]:
    """Group, version and the rest of a resource path."""
    parts = [part for part in path.split("/") if part]
    if len(parts) >= 2 and parts[0] == "api":
        return "", parts[1], parts[2:]
    if len(parts) >= 3 and parts[0] == "apis":
        return parts[1], parts[2], parts[3:]
    raise no_such_path()
