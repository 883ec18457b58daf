"""Pointers, differences and who made them; what is ignored, accepted or hidden."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.reconcile.difference import ABSENT, compare_objects, overlaid
from agent.reconcile.drift_rules import DriftRules, changed, describe, extra, missing, report
from agent.reconcile.ownership import owners_of
from agent.reconcile.pointer import covers, parse_pointer, pointer, resolve
from shared.contract.desired import AcceptedDrift
from shared.contract.extension import DriftIgnore, DriftTarget
from shared.contract.limits import DIFFERENCES_PER_REPORT, STATUS_BODY_BYTES

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NO_RULES = DriftRules()


def deployment(replicas: int = 1, image: str = "a:1", **meta: Any) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop", **meta},
        "spec": {
            "replicas": replicas,
            "template": {
                "spec": {
                    "containers": [
                        {"name": "main", "image": image},
                        {"name": "side", "image": "s:1"},
                    ]
                }
            },
        },
    }


def paths(want: dict[str, Any], have: dict[str, Any]) -> list[str]:
    return [found.path for found in compare_objects(want, have)]


def test_what_is_declared_lies_over_what_is_there_item_by_item() -> None:
    live = deployment()
    first, side = live["spec"]["template"]["spec"]["containers"]
    first |= {"imagePullPolicy": "Always", "ports": [{"containerPort": 80, "protocol": "TCP"}]}
    declared = deployment(image="a:1")
    declared["spec"]["template"]["spec"]["containers"] = [
        {"name": "main", "image": "a:1", "ports": [{"containerPort": 80}]}
    ]
    assert paths(overlaid(live, declared), live) == []
    assert side in overlaid(live, declared)["spec"]["template"]["spec"]["containers"]
    declared["spec"]["template"]["spec"]["containers"][0]["image"] = "a:2"
    assert paths(overlaid(live, declared), live) == ["/spec/template/spec/containers/0/image"]
    assert overlaid({"args": ["a", "b"]}, {"args": ["a"]}) == {"args": ["a"]}


@given(st.lists(st.text(max_size=8), max_size=5))
def test_a_pointer_is_read_back_as_it_was(tokens: list[str]) -> None:
    assert list(parse_pointer(pointer(tokens))) == tokens


def test_a_pointer_names_what_stands_there() -> None:
    obj = deployment()
    assert resolve(obj, parse_pointer("/spec/template/spec/containers/1/name")) == "side"
    with pytest.raises(KeyError):
        resolve(obj, ("spec", "nothing"))
    with pytest.raises(ValueError, match="has to start"):
        parse_pointer("spec")


@pytest.mark.parametrize(
    ("rule", "path", "expected"),
    [
        ("/spec", "/spec/replicas", True),
        ("/spec/replicas", "/spec/replicas", True),
        ("/spec/replicas", "/spec", False),
        ("/spec/rep", "/spec/replicas", False),
        ("/spec/containers/*/image", "/spec/containers/3/image", True),
        ("/metadata/annotations/a~1b", "/metadata/annotations/a~1b", True),
    ],
)
def test_a_rule_covers_what_is_below_it(rule: str, path: str, expected: bool) -> None:
    assert covers(rule, path) is expected


def test_what_only_the_server_writes_is_no_difference() -> None:
    have = deployment(resourceVersion="9", uid="u", generation=4, managedFields=[{}])
    assert paths(deployment(), {**have, "status": {"replicas": 1}}) == []


def test_a_changed_field_of_a_list_item_is_found_by_the_items_name() -> None:
    have = deployment(image="a:2")
    containers = have["spec"]["template"]["spec"]["containers"]
    containers.reverse()
    assert paths(deployment(), have) == ["/spec/template/spec/containers/1/image"]


def test_added_and_removed_items_are_told_whole() -> None:
    want, have = deployment(), deployment()
    have["spec"]["template"]["spec"]["containers"].pop()
    (found,) = compare_objects(want, have)
    assert found.path == "/spec/template/spec/containers/1"
    assert found.observed is ABSENT
    (found,) = compare_objects(have, want)
    assert found.desired is ABSENT


def test_true_is_not_one() -> None:
    assert paths({"spec": {"a": True}}, {"spec": {"a": 1}}) == ["/spec/a"]


def test_an_empty_map_is_as_good_as_none() -> None:
    assert paths({"spec": {"a": {}}}, {"spec": {}}) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=3), JSON), st.dictionaries(st.text(max_size=3), JSON))
def test_an_object_never_differs_from_itself_and_paths_are_unique(a: Any, b: Any) -> None:
    assert compare_objects({"spec": a}, {"spec": a}) == []
    found = compare_objects({"spec": a}, {"spec": b})
    forward = {f.path for f in found}
    assert forward == {f.path for f in compare_objects({"spec": b}, {"spec": a})}


FIELDS = {
    "f:spec": {
        "f:replicas": {},
        "f:template": {
            "f:spec": {
                "f:containers": {
                    'k:{"name":"main"}': {".": {}, "f:image": {}, "f:name": {}},
                }
            }
        },
    },
    "f:metadata": {"f:finalizers": {'v:"keep"': {}}},
}


def owned(replicas: int = 1) -> dict[str, Any]:
    entries = [
        {"manager": "helm", "operation": "Apply", "fieldsV1": {"f:spec": {"f:paused": {}}}},
        {"manager": "kubectl-edit", "operation": "Update", "fieldsV1": FIELDS},
        {"manager": "status", "subresource": "status", "fieldsV1": FIELDS},
    ]
    return deployment(replicas, managedFields=entries, finalizers=["keep"])


@pytest.mark.parametrize(
    ("path", "managers"),
    [
        ("/spec/replicas", ("kubectl-edit",)),
        ("/spec/paused", ("helm",)),
        ("/spec/template/spec/containers/0/image", ("kubectl-edit",)),
        ("/spec/template/spec/containers/1/image", ()),
        ("/metadata/finalizers/0", ("kubectl-edit",)),
        ("/spec/template", ("kubectl-edit",)),
        ("/metadata/labels/a", ()),
    ],
)
def test_the_owners_of_a_field(path: str, managers: tuple[str, ...]) -> None:
    assert owners_of(owned(), parse_pointer(path)) == managers


def test_a_map_that_lost_its_keys_is_not_taken_for_an_atomic_one() -> None:
    def entry(manager: str, held: dict[str, Any]) -> dict[str, Any]:
        return {"manager": manager, "fieldsV1": {"f:spec": {"f:map": held}}}

    left, taken = entry("arcbridge", {}), entry("a-person", {"f:a/b": {}})
    live = {"metadata": {"managedFields": [left, taken]}, "spec": {"map": {"a/b": 1, "c": 2}}}
    assert owners_of(live, ("spec", "map", "a/b")) == ("a-person",)
    assert owners_of(live, ("spec", "map", "c")) == ("arcbridge",)
    assert owners_of(live, ("spec", "map")) == ("a-person", "arcbridge")
    assert owners_of(live, ()) == ("a-person", "arcbridge")


def test_a_difference_is_told_with_both_values_and_its_maker() -> None:
    (found,) = changed(deployment(1, finalizers=["keep"]), owned(replicas=3), NO_RULES, NOW)
    assert (found.path, found.desired, found.observed) == ("/spec/replicas", 1, 3)
    assert found.managers == ("kubectl-edit",)
    assert describe([found]) == "1 difference Deployment shop/web /spec/replicas by kubectl-edit"


def test_ignored_and_accepted_fields_are_no_drift() -> None:
    target = DriftTarget(kind="Deployment", name="web")
    live = deployment(replicas=3)
    ignoring = DriftRules(ignore=(DriftIgnore(target=target, paths=("/spec/replicas",)),))
    elsewhere = DriftRules(
        ignore=(DriftIgnore(target=DriftTarget(kind="Service"), paths=("/spec",)),)
    )
    accepted = AcceptedDrift(
        target=target, path="/spec/replicas", observed=3, expires_at=NOW + timedelta(hours=1)
    )
    assert changed(deployment(), live, ignoring, NOW) == ()
    assert len(changed(deployment(), live, elsewhere, NOW)) == 1
    assert changed(deployment(), live, DriftRules(accepted=(accepted,)), NOW) == ()
    late = NOW + timedelta(hours=2)
    assert len(changed(deployment(), live, DriftRules(accepted=(accepted,)), late)) == 1
    other = deployment(replicas=4)
    assert len(changed(deployment(), other, DriftRules(accepted=(accepted,)), NOW)) == 1


def test_secret_data_is_told_as_a_digest() -> None:
    def secret(value: str) -> dict[str, Any]:
        meta = {"name": "s", "annotations": {"last-applied": value}}
        return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": {"k": value}}

    found = changed(secret("canary-one"), secret("canary-two"), NO_RULES, NOW)
    assert [f.path for f in found] == ["/data/k", "/metadata/annotations/last-applied"]
    assert "canary" not in "".join(f.model_dump_json() for f in found)
    assert found[0].desired != found[0].observed


def test_missing_and_extra_objects_are_told_whole_and_large_values_are_cut() -> None:
    (gone,) = missing(deployment(), NO_RULES, NOW)
    (more,) = extra(deployment(), NO_RULES, NOW)
    assert (gone.kind.value, more.kind.value) == ("missing", "extra")
    big = {"apiVersion": "v1", "kind": "X", "metadata": {"name": "a"}, "data": {"k": "x" * 9000}}
    (cut,) = changed({**big, "data": {"k": ""}}, big, NO_RULES, NOW)
    assert "not shown" in str(cut.observed)


def test_a_report_is_cut_to_what_it_may_carry() -> None:
    found = [*missing(deployment(), NO_RULES, NOW)] * (DIFFERENCES_PER_REPORT + 1)
    told = report(found, checked_at=NOW, corrections=0, correction=0)
    assert told.truncated
    assert len(told.differences) == DIFFERENCES_PER_REPORT
    large = [
        each.model_copy(update={"desired": "x" * 2000, "observed": "y" * 2000}) for each in found
    ]
    told = report(large[:DIFFERENCES_PER_REPORT], checked_at=NOW, corrections=0, correction=0)
    assert told.truncated
    assert len(told.model_dump_json()) < STATUS_BODY_BYTES / 2 + 1024
