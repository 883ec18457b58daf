"""Types, pruning, defaults and constraints of custom resources."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dev.kube import validation
from dev.kube.crd_schema import crd_node

SCHEMA = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "required": ["size"],
            "properties": {
                "size": {"type": "integer", "minimum": 1, "exclusiveMaximum": True, "maximum": 10},
                "name": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 5},
                "mode": {"type": "string", "enum": ["on", "off"], "default": "on"},
                "port": {"x-kubernetes-int-or-string": True},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                "list": {"type": "array", "maxItems": 2, "items": {"type": "string"}},
                "maybe": {"type": "string", "nullable": True},
                "one": {
                    "type": "object",
                    "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
                    "oneOf": [{"required": ["a"]}, {"required": ["b"]}],
                },
            },
        }
    },
}
NODE = crd_node(SCHEMA)


def problems(**spec: Any) -> list[str]:
    found = validation.violations(NODE, {"spec": {"size": 1, **spec}})
    return [f"{item['field']}: {item['message']}" for item in found]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"size": 0}, "greater than or equal to 1"),
        ({"size": 10}, "less than 10"),
        ({"size": "1"}, 'must be of type integer: "string"'),
        ({"size": True}, 'must be of type integer: "boolean"'),
        ({"name": "A"}, "should match '^[a-z]+$'"),
        ({"name": "abcdef"}, "may not be more than 5 bytes"),
        ({"mode": "half"}, 'Unsupported value: "half"'),
        ({"port": []}, "must be of type integer or string"),
        ({"list": ["a", "b", "c"]}, "must have at most 2 items"),
        ({"name": None}, 'must be of type string: "null"'),
        ({"one": {}}, "one and only one schema (oneOf)"),
        ({"one": {"a": "1", "b": "2"}}, "one and only one schema (oneOf)"),
    ],
)
def test_values_outside_the_schema_are_named(spec: dict[str, Any], expected: str) -> None:
    found = problems(**spec)
    assert len(found) == 1
    assert expected in found[0]


def test_values_inside_the_schema_pass() -> None:
    assert problems(name="abc", port="http", free={"x": [1]}, maybe=None, one={"a": "1"}) == []
    assert validation.violations(NODE, {"spec": {}})[0]["field"] == "spec.size"


def test_unknown_members_are_found_and_pruned_but_kept_where_asked() -> None:
    value = {"spec": {"size": 1, "odd": 1, "free": {"any": {"thing": 1}}}, "extra": 1}
    assert validation.unknown_fields(NODE, value) == ["spec.odd", "extra"]
    assert validation.prune(NODE, value) == {"spec": {"size": 1, "free": {"any": {"thing": 1}}}}


def test_defaults_fill_what_is_absent() -> None:
    assert validation.apply_defaults(NODE, {"spec": {"size": 1}})["spec"]["mode"] == "on"
    assert validation.apply_defaults(NODE, {"spec": {"mode": "off"}})["spec"]["mode"] == "off"
    assert validation.apply_defaults(NODE, {}) == {}


@given(
    st.recursive(
        st.integers() | st.text(max_size=3) | st.none() | st.booleans(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["spec", "size", "free", "list", "x"]), inner, max_size=3
            )
        ),
        max_leaves=8,
    )
)
def test_pruned_values_have_no_unknown_members(value: Any) -> None:
    pruned = validation.prune(NODE, value)
    assert validation.unknown_fields(NODE, pruned) == []
    validation.violations(NODE, pruned)
