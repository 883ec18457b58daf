"""What a served resource is: its names, its type, its subresources."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from dev.kube.schema import Json, Node

#: Group and plural of the stored form: versions of one resource share it.
StorageKey = tuple[str, str]
#: Namespace ("" for cluster-scoped objects) and name.
ObjectKey = tuple[str, str]

VERBS = (
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
)


@dataclass(frozen=True)
class ScalePaths:
    """Where the scale subresource finds its numbers: dotted paths without the leading dot."""

    spec_replicas: str = "spec.replicas"
    status_replicas: str = "status.replicas"
    selector: str = ""
    """Path of a label selector string in custom resources; built-ins use `spec.selector`."""


@dataclass(frozen=True)
class Column:
    """One column of the table that `kubectl get` prints."""

    name: str
    type: str
    read: Callable[[Json], object]
    """The cell's value, from the object."""
    priority: int = 0
    description: str = ""
    format: str = ""


@dataclass(frozen=True)
class Resource:
    """One resource at one version, as discovery lists it."""

    group: str
    version: str
    plural: str
    singular: str
    kind: str
    namespaced: bool
    load_node: Callable[[], Node]
    storage: StorageKey
    storage_version: str
    """`apiVersion` of the stored form."""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    has_status: bool = False
    scale: ScalePaths | None = None
    has_generation: bool = False
    custom: bool = False
    columns: tuple[Column, ...] | None = None
    selectable: frozenset[str] = frozenset()
    """Field labels for selectors beyond `metadata.name` and `metadata.namespace`."""
    subresources: tuple[str, ...] = ()
    """Further subresources, such as `eviction`."""
    list_kind: str = ""

    @property
    def api_version(self) -> str:
        """`apps/v1`, or `v1` for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @cached_property
    def node(self) -> Node:
        """The type of the resource's objects."""
        return self.load_node()

    @property
    def kind_of_list(self) -> str:
        """Kind of the list object."""
        return self.list_kind or f"{self.kind}List"
