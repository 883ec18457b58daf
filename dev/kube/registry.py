"""Which resources a cluster serves: the built-in ones and those its CRDs define."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from dev.kube.builtin import builtin_resources
from dev.kube.custom import custom_resources
from dev.kube.fieldset import compact
from dev.kube.resources import Resource, StorageKey
from dev.kube.schema import Json

#: The text of a document and its ETag.
Document = tuple[bytes, str]
_BUILTIN_DOCUMENTS: dict[str, Document] = {}


class Registry:
    """Looks resources up by path, kind and storage key; built-ins are shared by all clusters."""

    def __init__(self) -> None:
        self._custom: dict[str, tuple[Resource, ...]] = {}
        self._by_path: dict[tuple[str, str, str], Resource] = dict(_BUILTIN_BY_PATH)
        self._by_storage: dict[StorageKey, Resource] = dict(_BUILTIN_BY_STORAGE)
        self._digests: dict[str, str] = {}
        self._documents: dict[str, Document] = {}

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
        self._digests[name] = hashlib.sha256(compact(crd["spec"]).encode()).hexdigest()
        for resource in found:
            self._by_path[resource.group, resource.version, resource.plural] = resource
            if resource.api_version == resource.storage_version:
                self._by_storage[resource.storage] = resource
        self._documents.clear()
        return found

    def digest(self, group: str, version: str) -> str:
        """A text that changes when the resources of a group version do."""
        crds = (
            self._digests[name]
            for name, found in sorted(self._custom.items())
            if any((item.group, item.version) == (group, version) for item in found)
        )
        text = "/".join([group, version, *crds])
        return hashlib.sha256(text.encode()).hexdigest().upper()

    def documents(self, group: str | None = None) -> dict[str, Document]:
        """Kept documents about a group (None: about everything), by path and type.

        Those about built-in resources alone are the same in every cluster and kept once.
        """
        own = any(
            group is None or item.group == group
            for found in self._custom.values()
            for item in found
        )
        return self._documents if own else _BUILTIN_DOCUMENTS

    def withdraw(self, crd_name: str) -> None:
        """Stop serving the resources of a CustomResourceDefinition."""
        self._digests.pop(crd_name, None)
        for resource in self._custom.pop(crd_name, ()):
            self._by_path.pop((resource.group, resource.version, resource.plural), None)
            self._by_storage.pop(resource.storage, None)
            self._documents.clear()


_BUILTIN_BY_PATH = {(item.group, item.version, item.plural): item for item in builtin_resources()}
_BUILTIN_BY_STORAGE = {
    item.storage: item
    for item in builtin_resources()
    if item.api_version == item.storage_version and item.storage == (item.group, item.plural)
}
