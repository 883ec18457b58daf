"""What becomes of one target by what its agent says, to the second and in its words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from shared.contract.reasons import ReasonCode
from shared.contract.states import (
    ExtensionPhase,
    TargetState,
)
from shared.planner.targets import counts, judge
from shared.planner.view import GivenUp, Reach, TargetView
from tests.unit.planner.one_target import (
    DEREGISTERED,
    READY,
    SILENT,
    T0,
    after,
    moved,
    report,
    target,
    view,
)


@pytest.mark.parametrize(
    "change",
    [{"rollout_id": UUID(int=8)}, {"digest": "sha256:b"}, {"generation": 3}],
    ids=["rollout", "content", "release"],
)
def test_a_report_of_another_release_does_not_count(change: dict[str, Any]) -> None:
    assert counts(view(), target(report=report()))
    assert not counts(view(), target(report=report(**change)))
    assert not counts(view(), target())


def test_ready_for_another_release_is_not_ready() -> None:
    before = target(TargetState.APPLYING, report=report(READY, generation=3, ready_since=T0))
    assert judge(view(), before, after(minutes=9)) is None


def test_a_cluster_that_is_gone_is_skipped_whatever_it_said() -> None:
    gone = Reach(gone=True)
    assert moved(judge(view(), target(reach=gone, report=report(READY)), T0)) == DEREGISTERED


def test_a_release_that_was_given_up_failed_for_good() -> None:
    up = GivenUp(4, ReasonCode.UPGRADE_FAILED, "no space")
    found = judge(view(), target(given_up=up, report=report(READY)), T0)
    failed = (TargetState.FAILED, ReasonCode.UPGRADE_FAILED, "no space", None, None)
    assert moved(found) == failed
    mute = GivenUp(4, ReasonCode.UPGRADE_FAILED)
    assert moved(judge(view(), target(given_up=mute), T0))[2] == "failed"
    other = GivenUp(3, ReasonCode.UPGRADE_FAILED)
    assert judge(view(), target(given_up=other), T0) is None


def test_the_first_report_shows_that_the_agent_has_begun() -> None:
    begun = (TargetState.APPLYING, ReasonCode.PROGRESSING, "pulling", None, None)
    assert moved(judge(view(), target(report=report()), T0)) == begun
    assert moved(judge(view(), target(report=report(message="")), T0))[2] == "applying"
    applying = target(TargetState.APPLYING, report=report())
    assert judge(view(), applying, T0) is None


def ready(state: TargetState = TargetState.APPLYING, **fields: Any) -> TargetView:
    said = report(READY, reason=ReasonCode.UPGRADE_SUCCEEDED, ready_since=T0)
    return target(state, report=said, **fields)


def test_what_is_ready_is_watched_through_the_soak() -> None:
    watched = (
        TargetState.VERIFYING, ReasonCode.SOAKING, "ready, watched until 2026-03-01 12:05:00Z",
        None, T0,
    )  # fmt: skip
    assert moved(judge(view(), ready(), after(minutes=1)), TargetState.APPLYING) == watched
    verifying = ready(TargetState.VERIFYING, ready_since=T0)
    assert judge(view(), verifying, after(minutes=4, seconds=59)) is None
    succeeded = (TargetState.SUCCEEDED, ReasonCode.UPGRADE_SUCCEEDED, "ready", None, T0)
    assert moved(judge(view(), verifying, after(minutes=5)), TargetState.VERIFYING) == succeeded


def test_ready_again_is_watched_anew() -> None:
    verifying = ready(TargetState.VERIFYING, ready_since=after(minutes=-3))
    assert moved(judge(view(), verifying, after(minutes=3)), TargetState.VERIFYING)[4] == T0


def test_ready_without_a_time_is_ready_now() -> None:
    untimed = target(report=report(READY))
    assert moved(judge(view(), untimed, after(minutes=2)))[4] == after(minutes=2)


def test_without_a_soak_ready_has_succeeded_even_when_it_is_silent_now() -> None:
    found = judge(view(), ready(reach=SILENT), after(minutes=5))
    assert found is None, "the soak was not seen to its end"
    stage = replace(ready(reach=SILENT), stage=0)
    at_once = judge(view(), stage, T0)
    assert at_once is not None
    assert (at_once.becomes, at_once.stage) == (TargetState.SUCCEEDED, 0)


def test_a_removal_has_nothing_to_watch() -> None:
    removed = report(ExtensionPhase.REMOVED, ready_since=T0)
    assert moved(judge(view(), target(goal_absent=True, report=removed), T0))[0] is (
        TargetState.SUCCEEDED
    )
    still = target(TargetState.APPLYING, goal_absent=True, report=report(READY))
    assert judge(view(), still, T0) is None


def test_a_cluster_that_falls_silent_in_its_soak_times_out_once_it_is_offline() -> None:
    soaking = ready(TargetState.VERIFYING, ready_since=T0, reach=Reach(False, after(minutes=4)))
    assert judge(view(), soaking, after(minutes=23, seconds=59)) is None
    found = judge(view(), soaking, after(minutes=24))
    assert moved(found, TargetState.VERIFYING) == (
        TargetState.TIMED_OUT, ReasonCode.CLUSTER_OFFLINE, "fell silent during its soak",
        None, None,
    )  # fmt: skip
    never = replace(soaking, reach=Reach(False, None))
    assert judge(view(), never, after(minutes=19, seconds=59)) is None
    assert moved(judge(view(), never, after(minutes=20)), TargetState.VERIFYING)[0] is (
        TargetState.TIMED_OUT
    )
    through = replace(soaking, reach=Reach(False, after(minutes=5)))
    assert moved(judge(view(), through, after(minutes=6)), TargetState.VERIFYING)[0] is (
        TargetState.SUCCEEDED
    )


def test_what_is_ready_no_more_is_applied_again() -> None:
    lost = target(
        TargetState.VERIFYING,
        ready_since=T0,
        report=report(reason=ReasonCode.HEALTH_CHECK_FAILED),
    )
    words = "no longer ready: the soak starts again once it is"
    assert moved(judge(view(), lost, T0), TargetState.VERIFYING) == (
        TargetState.APPLYING, ReasonCode.HEALTH_CHECK_FAILED, words, None, T0,
    )  # fmt: skip
    mute = replace(lost, report=None)
    assert moved(judge(view(), mute, T0), TargetState.VERIFYING) == (
        TargetState.APPLYING, ReasonCode.PROGRESSING, words, None, T0,
    )  # fmt: skip
