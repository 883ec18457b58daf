"""Types of the built-in kinds, read from the `kubernetes` client library's generated models.

The models know every field, its type and whether it is required; `merge_keys` adds how lists
merge. A kind is read when it is first asked for, so starting a server costs nothing here.
"""

from __future__ import annotations

import importlib
import re
from functools import cache
from typing import Any

from dev.kube import merge_keys
from dev.kube.quantity import FORMAT
from dev.kube.schema import MAP, SET, Node

_SCALARS = {
    "str": ("string", ""),
    "int": ("integer", ""),
    "bool": ("boolean", ""),
    "float": ("number", "double"),
    "datetime": ("string", "date-time"),
    "bytearray": ("string", "byte"),
    "bytes": ("string", "byte"),
}

_known: dict[str, Node] = {}


def builtin_node(model: str) -> Node:
    """The type of a model such as `V1Deployment`; raises ModuleNotFoundError for an unknown one."""
    node = _known.get(model)
    if node is None:
        node = _known[model] = Node(
            type="object", name=model, atomic=model in merge_keys.ATOMIC_OBJECTS
        )
        _fill(node, _model_class(model))
    return node


@cache
def _model_class(model: str) -> Any:
    module = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", model).lower()
    module = module.replace("v_1", "v1")
    return getattr(importlib.import_module(f"kubernetes.client.models.{module}"), model)


def _fill(node: Node, model: Any) -> None:
    node.description = (model.__doc__ or "").strip().split("\n\n", maxsplit=1)[0].strip()
    required = []
    for attribute, declared in model.openapi_types.items():
        name = model.attribute_map[attribute]
        info = model.model_fields.get(attribute)
        if info is not None and info.is_required():
            required.append(name)
        node.fields[name] = _field(node.name, name, declared, getattr(info, "description", ""))
    node.required = tuple(required)


def _field(model: str, name: str, declared: str, description: str | None) -> Node:
    node = _declared(declared, name)
    if node.name:
        return node
    node.description = description or ""
    if node.type == "array":
        _mark_list(node, model, name)
    elif f"{model}.{name}" in merge_keys.ATOMIC_MAPS:
        node.atomic = True
    elif name in merge_keys.QUANTITIES:
        leaf = node.values or node
        leaf.format = FORMAT if leaf.type == "string" else leaf.format
    return node


def _mark_list(node: Node, model: str, name: str) -> None:
    rule = merge_keys.list_rule(model, name)
    if rule is None or (node.items is not None and node.items.type != "object" and rule.keys):
        return
    node.patch_strategy, node.patch_merge_key = rule.strategy, rule.merge_key
    if rule.keys:
        node.list_type, node.list_keys = MAP, rule.keys
        node.key_defaults = {
            key: value for key, value in merge_keys.KEY_DEFAULTS.items() if key in rule.keys
        }
    elif rule.as_set:
        node.list_type = SET


def _declared(declared: str, name: str) -> Node:
    """A node for a type as the models spell it: `int`, `List[V1Container]`, `Dict[str, str]`."""
    if declared in _SCALARS:
        kind, fmt = _SCALARS[declared]
        return Node(type=kind, format=fmt)
    if declared == "object":
        int_or_string = name in merge_keys.INT_OR_STRING
        return Node(preserve_unknown=True, atomic=True, int_or_string=int_or_string)
    if inner := re.fullmatch(r"[Ll]ist\[(.*)\]", declared):
        return Node(type="array", items=_declared(inner[1], ""))
    if inner := re.fullmatch(r"[Dd]ict\[str, (.*)\]", declared):
        return Node(type="object", values=_declared(inner[1], ""))
    return builtin_node(declared)
