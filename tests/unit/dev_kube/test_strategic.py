"""Strategic merge patches on a pod's spec."""

from __future__ import annotations

from typing import Any

import pytest

from dev.kube.builtin_schema import builtin_node
from dev.kube.json_patch import PatchError
from dev.kube.strategic import strategic_merge

POD_SPEC = builtin_node("V1PodSpec")
META = builtin_node("V1ObjectMeta")


def containers(*items: dict[str, Any]) -> dict[str, Any]:
    return {"containers": list(items)}


def test_items_merge_by_their_key() -> None:
    target = containers({"name": "a", "image": "a:1", "tty": True}, {"name": "b", "image": "b:1"})
    patch = containers({"name": "a", "image": "a:2"}, {"name": "c", "image": "c:1"})
    assert strategic_merge(POD_SPEC, target, patch) == containers(
        {"name": "a", "image": "a:2", "tty": True},
        {"name": "b", "image": "b:1"},
        {"name": "c", "image": "c:1"},
    )


def test_an_item_is_deleted_by_directive() -> None:
    target = containers({"name": "a"}, {"name": "b"})
    patch = containers({"name": "a", "$patch": "delete"})
    assert strategic_merge(POD_SPEC, target, patch) == containers({"name": "b"})


def test_a_list_is_replaced_by_directive() -> None:
    target = containers({"name": "a"}, {"name": "b"})
    patch = containers({"name": "c"}, {"$patch": "replace"})
    assert strategic_merge(POD_SPEC, target, patch) == containers({"name": "c"})


def test_a_map_is_replaced_by_directive() -> None:
    target = {"labels": {"a": "1", "b": "2"}}
    patch = {"labels": {"$patch": "replace", "c": "3"}}
    assert strategic_merge(META, target, patch) == {"labels": {"c": "3"}}


def test_order_follows_the_directive() -> None:
    target = containers({"name": "a"}, {"name": "b"})
    order = [{"name": "c"}, {"name": "b"}, {"name": "a"}]
    patch = {**containers({"name": "c"}), "$setElementOrder/containers": order}
    merged = strategic_merge(POD_SPEC, target, patch)
    assert [item["name"] for item in merged["containers"]] == ["c", "b", "a"]


def test_primitive_lists_merge_and_lose_items_by_directive() -> None:
    target = {"finalizers": ["a", "b"]}
    patch = {"finalizers": ["c"], "$deleteFromPrimitiveList/finalizers": ["a"]}
    assert strategic_merge(META, target, patch) == {"finalizers": ["b", "c"]}


def test_atomic_lists_are_replaced() -> None:
    target = containers({"name": "a", "command": ["x", "y"]})
    patch = containers({"name": "a", "command": ["z"]})
    assert strategic_merge(POD_SPEC, target, patch) == patch


def test_only_the_retained_keys_stay() -> None:
    target = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}
    patch = {"type": "Recreate", "$retainKeys": ["type"]}
    node = builtin_node("V1DeploymentStrategy")
    assert strategic_merge(node, target, patch) == {"type": "Recreate"}


def test_items_without_their_key_are_refused() -> None:
    with pytest.raises(PatchError, match="merge key: name"):
        strategic_merge(POD_SPEC, containers(), containers({"image": "a"}))


def test_the_target_is_not_changed() -> None:
    target = containers({"name": "a", "env": [{"name": "X", "value": "1"}]})
    patch = containers({"name": "a", "env": [{"name": "X", "value": "2"}]})
    strategic_merge(POD_SPEC, target, patch)
    assert target == containers({"name": "a", "env": [{"name": "X", "value": "1"}]})
