"""Types of custom resources, from the structural schema of a CustomResourceDefinition."""

from __future__ import annotations

from dev.kube.builtin_schema import builtin_node
from dev.kube.schema import ATOMIC, STRING, Json, Node


def crd_node(schema: Json | None) -> Node:
    """The type of a custom resource, with `metadata` as Kubernetes has it.

    A version without a schema keeps whatever it is given.
    """
    root = _node(schema or {"type": "object", "x-kubernetes-preserve-unknown-fields": True})
    fields = dict(root.fields)
    fields.update(apiVersion=STRING, kind=STRING, metadata=builtin_node("V1ObjectMeta"))
    root.fields, root.type = fields, "object"
    return root


def constraint_node(schema: Json) -> Node:
    """A schema inside `allOf` and its kin: it constrains, it does not declare."""
    node = _node(schema)
    if "type" not in schema and not node.int_or_string:
        node.type = ""
    return node


def _node(schema: Json) -> Node:
    properties = schema.get("properties") or {}
    node = Node(
        type=schema.get("type") or "",
        fields={name: _node(below) for name, below in properties.items()},
        list_type=schema.get("x-kubernetes-list-type") or ATOMIC,
        list_keys=tuple(schema.get("x-kubernetes-list-map-keys") or ()),
        atomic=schema.get("x-kubernetes-map-type") == "atomic",
        required=tuple(schema.get("required") or ()),
        preserve_unknown=bool(schema.get("x-kubernetes-preserve-unknown-fields")),
        embedded=bool(schema.get("x-kubernetes-embedded-resource")),
        int_or_string=bool(schema.get("x-kubernetes-int-or-string")),
        nullable=bool(schema.get("nullable")),
        format=schema.get("format") or "",
        description=schema.get("description") or "",
        default=schema.get("default"),
        has_default="default" in schema,
        raw=schema,
    )
    additional = schema.get("additionalProperties")
    if isinstance(additional, dict):
        node.values = _node(additional)
    elif additional is True:
        node.preserve_unknown = True
    if isinstance(schema.get("items"), dict):
        node.items = _node(schema["items"])
    if node.embedded:
        node.fields.update(apiVersion=STRING, kind=STRING, metadata=builtin_node("V1ObjectMeta"))
    return node
