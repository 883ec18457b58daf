"""Reading manifests, ordering objects, and deciding what is deleted."""

from __future__ import annotations

import random

import pytest

from agent.errors import StepFailed
from agent.reconcile.namespaces import forbidden, refuse_forbidden
from agent.reconcile.objects import (
    ManifestError,
    ObjectKey,
    ObjectRef,
    in_apply_order,
    key_of,
    labelled,
    parse_manifest,
    placed,
)
from agent.reconcile.prune import refuse_above_cap, superfluous
from shared.contract.reasons import ReasonCode


def ref(kind: str, name: str = "x", version: str = "v1") -> ObjectRef:
    return ObjectRef(version, kind, "ns", name)


def test_objects_are_applied_in_the_order_in_which_they_need_each_other() -> None:
    order = [
        "Namespace",
        "CustomResourceDefinition",
        "ServiceAccount",
        "ClusterRole",
        "RoleBinding",
        "Secret",
        "ConfigMap",
        "Service",
        "Deployment",
        "Ingress",
        "Widget",
        "ValidatingWebhookConfiguration",
    ]
    shuffled = [{"kind": kind} for kind in order]
    random.Random(3).shuffle(shuffled)  # noqa: S311 - an order, not a secret
    assert [obj["kind"] for obj in in_apply_order(shuffled)] == order


def test_a_manifest_keeps_its_order_and_lists_are_taken_apart() -> None:
    text = """
# nothing but a comment
---
apiVersion: v1
kind: List
items:
  - {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}
---
apiVersion: v1
kind: Secret
metadata: {name: b, annotations: {at: 2026-01-01}}
"""
    found = parse_manifest(text)
    assert [obj["metadata"]["name"] for obj in found] == ["a", "b"]
    assert found[1]["metadata"]["annotations"]["at"] == "2026-01-01"


@pytest.mark.parametrize(
    "text",
    [
        "a: b: c",
        "- 1\n- 2",
        "just words",
        "kind: X",
        "{kind: X, metadata: {name: a}}",
        "{apiVersion: v1, kind: X, metadata: {name: 12}}",
        "{apiVersion: v1, kind: X, metadata: {name: a, namespace: [b]}}",
        "{apiVersion: v1, kind: X, metadata: {name: a, labels: [b]}}",
    ],
)
def test_what_is_no_manifest_is_refused(text: str) -> None:
    with pytest.raises(ManifestError):
        parse_manifest(text)


def test_placing_fills_in_the_namespace_where_the_kind_has_one() -> None:
    bare = {"apiVersion": "v1", "kind": "X", "metadata": {"name": "a"}}
    own = {"apiVersion": "v1", "kind": "X", "metadata": {"name": "a", "namespace": "own"}}
    assert key_of(placed(bare, "ns", namespaced=True)).namespace == "ns"
    assert key_of(placed(own, "ns", namespaced=True)).namespace == "own"
    assert key_of(placed(own, "ns", namespaced=False)).namespace == ""
    assert "namespace" not in bare["metadata"]


def test_labels_are_added_to_those_that_are_there() -> None:
    obj = {"metadata": {"name": "a", "labels": {"mine": "1"}}}
    assert labelled(obj, {"more": "2"})["metadata"]["labels"] == {"mine": "1", "more": "2"}
    assert obj["metadata"]["labels"] == {"mine": "1"}


def test_superfluous_is_what_nobody_wants_any_more_workloads_first() -> None:
    inventory = [ref("Namespace"), ref("ConfigMap", "a"), ref("ConfigMap", "b"), ref("Deployment")]
    found = superfluous(inventory, [ref("ConfigMap", "b").key])
    assert [(r.kind, r.name) for r in found] == [
        ("Deployment", "x"),
        ("ConfigMap", "a"),
        ("Namespace", "x"),
    ]


def test_an_object_that_only_changed_its_version_is_not_deleted() -> None:
    old = ref("HorizontalPodAutoscaler", version="autoscaling/v1")
    new = ref("HorizontalPodAutoscaler", version="autoscaling/v2")
    assert superfluous([old, new], [new.key]) == []


def test_the_cap_refuses_the_whole_cycle() -> None:
    refs = [ref("ConfigMap", str(i)) for i in range(3)]
    refuse_above_cap(refs, [], 3)
    with pytest.raises(StepFailed) as caught:
        refuse_above_cap(refs, [], 2)
    assert caught.value.reason is ReasonCode.PRUNE_CAPPED


def test_a_cluster_scoped_object_is_outside_every_restriction() -> None:
    inside = ObjectKey("", "ConfigMap", "a", "x")
    outside = ObjectKey("", "ConfigMap", "b", "x")
    role = ObjectKey("rbac.authorization.k8s.io", "ClusterRole", "", "x")
    assert forbidden([inside, outside, role], frozenset({"a"})) == [outside, role]
    assert forbidden([inside, outside, role], None) == []
    with pytest.raises(StepFailed, match="does not allow namespace b"):
        refuse_forbidden("b", [], frozenset({"a"}))
