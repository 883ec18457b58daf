"""The type of a Kubernetes value, in the one form that every part of the server reads.

Built-in kinds (from the client library's models) and custom resources (from their CRD) become the
same tree of nodes, so merge, validation, defaulting, pruning and OpenAPI are written once.
Trees may be cyclic (a JSON schema contains schemas), hence nodes are filled after they are made;
after that nobody changes them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

#: How a list is merged by server-side apply (KEP-555, `x-kubernetes-list-type`).
ATOMIC, SET, MAP = "atomic", "set", "map"


@dataclass(slots=True, eq=False)
class Node:
    """One node of a type.

    `type` is a JSON type or "" for a value of any type. `fields` are the known members of an
    object, `values` is the type of the others. `atomic` objects are merged as one leaf.
    `key_defaults` complete the keys of an associative list (`protocol: TCP`).
    """

    type: str = ""
    fields: dict[str, Node] = field(default_factory=dict)
    values: Node | None = None
    items: Node | None = None
    list_type: str = ATOMIC
    list_keys: tuple[str, ...] = ()
    key_defaults: dict[str, Any] = field(default_factory=dict)
    atomic: bool = False
    required: tuple[str, ...] = ()
    preserve_unknown: bool = False
    embedded: bool = False
    int_or_string: bool = False
    nullable: bool = False
    format: str = ""
    description: str = ""
    default: Any = None
    has_default: bool = False
    raw: Json | None = None
    """The JSON schema this came from (custom resources only): constraints are read from it."""
    patch_strategy: tuple[str, ...] = ()
    patch_merge_key: str = ""
    name: str = ""
    """Name of the built-in model, for OpenAPI; empty for inline types."""

    def child(self, key: str) -> Node:
        """The type of the member `key`; an untyped node when nothing is known of it."""
        found = self.fields.get(key)
        if found is not None:
            return found
        return self.values if self.values is not None else UNTYPED

    @property
    def is_struct(self) -> bool:
        """An object with named fields, as opposed to a free map."""
        return bool(self.fields)


#: A value nothing is known of: objects merge member by member, lists as a whole, which is what
#: structured-merge-diff calls a deduced type.
UNTYPED = Node(preserve_unknown=True)
STRING = Node(type="string")
