"""Server-side apply: ownership, conflicts, removal. Laws first, examples after."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dev.kube import fieldset, managed, typed
from dev.kube.builtin_schema import builtin_node
from dev.kube.crd_schema import crd_node
from dev.kube.errors import StatusError
from dev.kube.managed import Actor

LIST = {
    "type": "array",
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["name"],
    "items": {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "x": {"type": "integer"},
            "y": {"type": "integer"},
        },
    },
}
NODE = crd_node(
    {
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "properties": {
                    "size": {"type": "integer"},
                    "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                    "items": LIST,
                    "tags": {
                        "type": "array", "items": {"type": "string"},
                        "x-kubernetes-list-type": "set",
                    },
                    "words": {"type": "array", "items": {"type": "string"}},
                },
            }
        },
    }
)  # fmt: skip
SHELL: dict[str, Any] = {"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {}}

names = st.sampled_from(["a", "b", "c"])
item = st.fixed_dictionaries(
    {"name": names}, optional={"x": st.integers(0, 2), "y": st.integers(0, 2)}
)
specs = st.fixed_dictionaries(
    {},
    optional={
        "size": st.integers(0, 3),
        "labels": st.dictionaries(names, names, max_size=3),
        "items": st.lists(item, max_size=3, unique_by=lambda each: each["name"]),
        "tags": st.lists(names, max_size=3, unique=True),
        "words": st.lists(names, max_size=2),
    },
)


def config(spec: dict[str, Any]) -> dict[str, Any]:
    return {**SHELL, "metadata": {"name": "one"}, "spec": spec}


def apply(
    live: dict[str, Any], spec: dict[str, Any], manager: str = "one", *, force: bool = False
) -> dict[str, Any]:
    actor = Actor(manager, "", "example.com/v1", "2026-01-01T00:00:00Z")
    return managed.apply(NODE, live, config(spec), actor, force=force)


def update(live: dict[str, Any], spec: dict[str, Any], manager: str = "hand") -> dict[str, Any]:
    """Replace the spec of `live` as a PUT does."""
    new = {**live, "spec": spec}
    actor = Actor(manager, "", "example.com/v1", "2026-01-01T00:00:00Z")
    entries = managed.track_update(NODE, live, new, actor)
    return {**new, "metadata": {**new["metadata"], "managedFields": entries}}


def owned(obj: dict[str, Any], manager: str) -> fieldset.FieldSet:
    found = [entry.fields for key, entry in managed.read(obj).items() if key.manager == manager]
    return frozenset().union(*found)


@given(specs)
def test_applying_twice_is_applying_once(spec: dict[str, Any]) -> None:
    once = apply(SHELL, spec)
    assert apply(once, spec) == once


@given(specs, specs)
def test_a_sole_manager_gets_exactly_what_it_applies(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    live = apply(apply(SHELL, first), second)
    wanted = typed.field_set(NODE, {"spec": second})
    assert typed.field_set(NODE, {"spec": live.get("spec", {})}) <= wanted | {("f:spec",)}
    assert owned(live, "one") == wanted


@given(specs, specs)
def test_force_never_conflicts_and_leaves_no_field_contested(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    live = apply(apply(SHELL, first, "one"), second, "two", force=True)
    assert apply(live, second, "two") == live
    assert owned(live, "two") == typed.field_set(NODE, {"spec": second})


@given(specs)
def test_what_two_managers_share_outlives_one_of_them(shared: dict[str, Any]) -> None:
    live = apply(SHELL, shared, "one")
    live = apply(live, shared, "two")
    live = apply(live, {}, "one")
    assert live.get("spec", {}) == apply(SHELL, shared, "two").get("spec", {})


@given(specs, specs)
def test_an_update_takes_the_fields_it_changes(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    live = apply(SHELL, first)
    changed = update(live, second)
    difference = typed.compare(NODE, {"spec": live.get("spec", {})}, {"spec": second})
    touched = frozenset(difference.added | difference.modified)
    assert touched <= owned(changed, "hand")
    assert not owned(changed, "one") & (touched | frozenset(difference.removed))


@given(specs)
def test_field_sets_survive_their_json_form(spec: dict[str, Any]) -> None:
    fields = typed.field_set(NODE, {"spec": spec})
    assert fieldset.from_fields_v1(fieldset.to_fields_v1(fields)) == fields


@given(specs, specs)
def test_comparing_a_value_with_itself_finds_nothing(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    same = typed.compare(NODE, {"spec": first}, {"spec": first})
    assert not same.added | same.modified | same.removed
    there = typed.compare(NODE, {"spec": first}, {"spec": second})
    back = typed.compare(NODE, {"spec": second}, {"spec": first})
    assert (there.added, there.modified, there.removed) == (
        back.removed, back.modified, back.added,
    )  # fmt: skip


def test_a_conflict_names_the_manager_and_every_field() -> None:
    live = apply(SHELL, {"size": 1, "labels": {"a": "b"}}, "one")
    with pytest.raises(StatusError) as caught:
        apply(live, {"size": 2, "labels": {"a": "c"}}, "two")
    assert caught.value.code == 409
    assert caught.value.message == (
        'Apply failed with 2 conflicts: conflicts with "one":\n- .spec.labels.a\n- .spec.size'
    )
    assert caught.value.details == {
        "causes": [
            {"reason": "FieldManagerConflict", "message": 'conflict with "one"', "field": field}
            for field in (".spec.labels.a", ".spec.size")
        ]
    }


def test_an_update_by_hand_is_named_with_its_version() -> None:
    live = update(apply(SHELL, {"size": 1}), {"size": 5})
    with pytest.raises(StatusError) as caught:
        apply(live, {"size": 1})
    assert 'conflict with "hand" using example.com/v1: .spec.size' in caught.value.message


def test_equal_values_do_not_conflict() -> None:
    live = apply(SHELL, {"size": 1}, "one")
    both = apply(live, {"size": 1}, "two")
    assert owned(both, "one") == owned(both, "two") == {("f:spec", "f:size")}


def test_removed_items_go_with_their_last_owner() -> None:
    live = apply(SHELL, {"items": [{"name": "a", "x": 1}, {"name": "b", "x": 1}]}, "one")
    live = apply(live, {"items": [{"name": "a", "y": 2}]}, "two")
    live = apply(live, {}, "one")
    assert live["spec"] == {"items": [{"name": "a", "y": 2}]}


def test_objects_from_before_apply_keep_what_they_had() -> None:
    live = {**config({"size": 1, "labels": {"a": "b"}})}
    live["metadata"] = {**live["metadata"], "uid": "u"}
    applied = apply(live, {"size": 1})
    assert owned(applied, "before-first-apply") >= {("f:spec", "f:labels", "f:a")}
    assert apply(applied, {})["spec"] == {"size": 1, "labels": {"a": "b"}}


def test_an_emptied_list_of_managers_resets_ownership() -> None:
    live = apply(SHELL, {"size": 1})
    new = {**live, "metadata": {**live["metadata"], "managedFields": []}}
    actor = Actor("hand", "", "example.com/v1", "2026-01-01T00:00:00Z")
    assert managed.track_update(NODE, live, new, actor) == []


def test_ports_are_told_apart_by_number_and_protocol() -> None:
    node = builtin_node("V1ServiceSpec")
    ports = {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53}]}
    keys = {path[1] for path in typed.field_set(node, ports) if len(path) > 1}
    assert keys == {'k:{"port":53,"protocol":"UDP"}', 'k:{"port":53,"protocol":"TCP"}'}


@pytest.mark.parametrize(
    ("old", "new", "merged"),
    [
        ("abc", "cxa", "bcxa"),
        ("abc", "", "abc"),
        ("", "ab", "ab"),
        ("abc", "abc", "abc"),
        ("ac", "abc", "abc"),
        ("ab", "xa", "xab"),
        ("ab", "ba", "ba"),
    ],
)
def test_merged_lists_have_the_order_of_the_newcomer(old: str, new: str, merged: str) -> None:
    node = NODE.fields["spec"].fields["tags"]
    assert typed.merge(node, list(old), list(new)) == list(merged)


@given(st.lists(names, unique=True), st.lists(names, unique=True))
def test_merging_lists_loses_and_doubles_nothing(old: list[str], new: list[str]) -> None:
    node = NODE.fields["spec"].fields["tags"]
    merged = typed.merge(node, old, new)
    assert sorted(merged) == sorted({*old, *new})
    assert [item for item in merged if item in new] == new
