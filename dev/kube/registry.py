"""Which resources a cluster serves: the built-in ones and those its CRDs define."""

from __future__ import annotations

from collections.abc import Iterator

from dev.kube.builtin import builtin_resources
from dev.kube.custom import custom_resources
from dev.kube.resources import Resource, StorageKey
from dev.kube.schema import Json


class Registry:
    """Looks resources up by path, kind and storage key; built-ins are shared by all clusters."""

    def __init__(self) -> None:
        self._custom: dict[str, tuple[Resource, ...]] = {}
        self._by_path: dict[tuple[str, str, str], Resource] = dict(_BUILTIN_BY_PATH)
        self._by_storage: dict[StorageKey, Resource] = dict(_BUILTIN_BY_STORAGE)
        self.generation = 0
        """Changes whenever the set of resources does."""
        self.documents: dict[str, tuple[bytes, str]] = {}
        """Large documents about the present resources with their ETags, by path and type."""

    def find(self, group: str, version: str, plural: str) -> Resource | None:
        """The resource at `/apis/GROUP/VERSION/PLURAL`."""
        return self._by_path.get((group, version, plural))

    def serves(self, group: str, version: str) -> bool:
        """Is there any resource at this group and version?"""
        return any(known[:2] == (group, version) for known in self._by_path)

    def of_storage(self, key: StorageKey) -> Resource | None:
        """The resource at the version its objects are stored in."""
        return self._by_storage.get(key)

    def of_kind(self, api_version: str, kind: str) -> Resource | None:
        """The resource of an object, by its `apiVersion` and `kind`."""
        for resource in self._by_path.values():
            if resource.kind == kind and resource.api_version == api_version:
                return resource
        return None

    def all(self) -> Iterator[Resource]:
        """Every resource at every served version; preferred versions first within a group."""
        yield from self._by_path.values()

    def namespaced_storages(self) -> list[Resource]:
        """The stored resources that live in namespaces."""
        return [resource for resource in self._by_storage.values() if resource.namespaced]

    def define(self, crd: Json) -> tuple[Resource, ...]:
        """Serve the resources of a CustomResourceDefinition in place of its earlier ones."""
        name = crd["metadata"]["name"]
        self.withdraw(name)
        found = self._custom[name] = custom_resources(crd)
        for resource in found:
            self._by_path[resource.group, resource.version, resource.plural] = resource
            if resource.api_version == resource.storage_version:
                self._by_storage[resource.storage] = resource
        self._changed()
        return found

    def _changed(self) -> None:
        self.generation += 1
        self.documents.clear()

    def withdraw(self, crd_name: str) -> None:
        """Stop serving the resources of a CustomResourceDefinition."""
        for resource in self._custom.pop(crd_name, ()):
            self._by_path.pop((resource.group, resource.version, resource.plural), None)
            self._by_storage.pop(resource.storage, None)
            self._changed()


_BUILTIN_BY_PATH = {(item.group, item.version, item.plural): item for item in builtin_resources()}
_BUILTIN_BY_STORAGE = {
    item.storage: item
    for item in builtin_resources()
    if item.api_version == item.storage_version and item.storage == (item.group, item.plural)
}
