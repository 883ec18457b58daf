"""A step of a trial holds only when helm and the cluster say so."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from agent.reconcile.difference import ABSENT
from agent.reconcile.objects import ObjectKey, key_of
from dev.trial.entries import Disturbance
from dev.trial.verdicts import (
    NotHeldError,
    judge_drift,
    judge_history,
    judge_presence,
    split_left,
)
from shared.contract.status import Difference, DifferenceKind

EDIT = Disturbance(kind="Deployment", name="web", path="/spec/replicas", value=3)


def revision(number: int, status: str, chart: str) -> dict[str, Any]:
    return {"revision": number, "status": status, "chart": chart}


def difference(**changes: Any) -> Difference:
    given: dict[str, Any] = {
        "kind": DifferenceKind.CHANGED,
        "api_version": "apps/v1",
        "object_kind": "Deployment",
        "name": "web",
        "path": "/spec/replicas",
        "desired": 1,
        "observed": 3,
        "managers": ("trial-person",),
        "first_seen": datetime(2026, 1, 1, tzinfo=UTC),
    }
    return Difference(**(given | changes))


def test_a_history_holds_each_chart_once_and_the_newest_is_deployed() -> None:
    history = [revision(1, "superseded", "web-1.0.0"), revision(2, "deployed", "web-2.0.0")]
    assert judge_history(history, ["web-1.0.0", "web-2.0.0"]) == "history: 1 superseded, 2 deployed"


@pytest.mark.parametrize(
    ("history", "why"),
    [
        ([], "has the charts \\[\\]"),
        ([revision(1, "deployed", "web-2.0.0")], "has the charts"),
        ([revision(1, "failed", "web-1.0.0")], "not one deployed revision"),
        ([revision(1, "pending-install", "web-1.0.0")], "not one deployed revision"),
    ],
)
def test_any_other_history_does_not_hold(history: list[dict[str, Any]], why: str) -> None:
    with pytest.raises(NotHeldError, match=why):
        judge_history(history, ["web-1.0.0"])


def test_what_is_missing_is_named() -> None:
    web = ObjectKey("apps", "Deployment", "shop", "web")
    judge_presence([web], [web])
    with pytest.raises(NotHeldError, match="missing: Deployment shop/web"):
        judge_presence([web], [])


def test_an_edit_is_told_with_its_field_values_and_manager() -> None:
    told = difference()
    assert judge_drift([told], EDIT, 1, 3) is told


def test_consequences_of_an_edit_on_its_object_may_be_told_with_it() -> None:
    told = difference()
    assert judge_drift([difference(path="/spec/paused"), told], EDIT, 1, 3) is told


@pytest.mark.parametrize(
    ("found", "why"),
    [
        ([], "not told: what was told is nothing"),
        ([difference(name="other")], "not told"),
        ([difference(path="/spec/paused")], "not told"),
        ([difference(), difference(name="other")], "told beside it: Deployment other"),
        ([difference(managers=("someone",))], "without its manager"),
        ([difference(observed=4)], "told as 4"),
        ([difference(desired=2)], "instead of 2"),
    ],
)
def test_an_edit_that_is_told_otherwise_does_not_hold(found: list[Difference], why: str) -> None:
    with pytest.raises(NotHeldError, match=why):
        judge_drift(found, EDIT, 1, 3)


def test_a_field_that_was_taken_away_has_no_manager() -> None:
    told = difference(observed=None, managers=())
    assert judge_drift([told], EDIT, 1, ABSENT) is told


def test_only_what_a_source_wants_kept_may_be_left() -> None:
    def left(kind: str, name: str, **annotations: str) -> dict[str, Any]:
        marks = {key.replace("__", "/").replace("_", "-"): v for key, v in annotations.items()}
        return {
            "apiVersion": "v1",
            "kind": kind,
            "metadata": {"name": name, "annotations": marks},
        }

    kept = left("Secret", "key", **{"helm.sh__resource_policy": "keep"})
    hook = left("Job", "migrate", **{"helm.sh__hook": "pre-install"})
    crd = left("CustomResourceDefinition", "gadgets")
    owned = left("CustomResourceDefinition", "widgets", **{"meta.helm.sh__release_name": "web"})
    config = left("ConfigMap", "settings")
    found = {key_of(obj): obj for obj in (kept, hook, crd, owned, config)}
    told, wrong = split_left(found, {})
    assert told == [
        "CustomResourceDefinition gadgets (crds/)",
        "Job migrate (hook)",
        "Secret key (resource-policy)",
    ]
    assert wrong == ["ConfigMap settings", "CustomResourceDefinition widgets"]
