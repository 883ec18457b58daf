"""What becomes of one target, to the second and in its words."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from shared.contract.reasons import ReasonCode
from shared.contract.states import (
    ExtensionPhase,
    RolloutKind,
    RolloutState,
    SkipReason,
    TargetState,
)
from shared.contract.strategy import RolloutStrategy
from shared.planner.decisions import MoveTarget
from shared.planner.targets import counts, judge, skip_unreachable, take_up
from shared.planner.view import GivenUp, Reach, Report, RolloutView, TargetView

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
ID, CLUSTER = UUID(int=7), UUID(int=1)
STRATEGY = RolloutStrategy.model_validate(
    {
        "stages": [{"name": "first", "soak": "0s"}, {"name": "second", "soak": "5m"}],
        "progressDeadline": "10m",
        "offline": {"after": "20m"},
    }
)
READY, APPLYING = ExtensionPhase.READY, ExtensionPhase.APPLYING
SILENT = Reach(connected=False, silent_since=T0)
RESTING = Reach(not_now_until=T0 + timedelta(hours=1))


def after(**by: float) -> datetime:
    return T0 + timedelta(**by)


def view(kind: RolloutKind = RolloutKind.PUBLISH) -> RolloutView:
    return RolloutView(ID, kind, RolloutState.RUNNING, STRATEGY, T0 - timedelta(days=1), ())


def target(state: TargetState = TargetState.RELEASED, **fields: Any) -> TargetView:
    made = TargetView(CLUSTER, "eu-1", 1, 3, state, "sha256:a", generation=4, released_at=T0)
    return replace(made, **fields)


def report(phase: ExtensionPhase = APPLYING, **fields: Any) -> Report:
    made = Report(ID, "sha256:a", 4, phase, ReasonCode.PROGRESSING, "pulling")
    return replace(made, **fields)


def moved(found: MoveTarget | None, was: TargetState = TargetState.RELEASED) -> tuple[Any, ...]:
    """Becomes, reason, message, skip reason, ready since; the rest is the target's own."""
    assert found is not None
    own = (found.cluster_id, found.cluster, found.stage, found.was)
    assert own == (CLUSTER, "eu-1", 1, was)
    return (found.becomes, found.reason, found.message, found.skip_reason, found.ready_since)


DEREGISTERED = (
    TargetState.SKIPPED, ReasonCode.CERTIFICATE_REVOKED, "no longer registered",
    SkipReason.DEREGISTERED, None,
)  # fmt: skip
OFFLINE = (
    TargetState.SKIPPED, ReasonCode.CLUSTER_OFFLINE, "silent: taken up when it returns",
    SkipReason.OFFLINE, None,
)  # fmt: skip
NOT_NOW = (
    TargetState.SKIPPED, ReasonCode.NOT_NOW, "asked to be left alone: taken up after that",
    SkipReason.NOT_NOW, None,
)  # fmt: skip


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


def test_the_deadline_runs_from_the_release() -> None:
    late = after(minutes=10)
    unheard = target()
    assert judge(view(), unheard, late - timedelta(seconds=1)) is None
    assert moved(judge(view(), unheard, late)) == (
        TargetState.TIMED_OUT, ReasonCode.PROGRESS_DEADLINE_EXCEEDED,
        "nothing was reported by its deadline", None, None,
    )  # fmt: skip
    begun = target(TargetState.APPLYING, report=report())
    words = "not ready by its deadline: "
    assert moved(judge(view(), begun, late), TargetState.APPLYING)[2] == f"{words}pulling"
    mute = target(TargetState.APPLYING, report=report(message=""))
    assert moved(judge(view(), mute, late), TargetState.APPLYING)[2] == f"{words}Progressing"
    untimed = target(released_at=None)
    assert moved(judge(view(), untimed, T0))[0] is TargetState.TIMED_OUT


def test_who_lost_its_health_has_its_soak_on_top() -> None:
    again = target(TargetState.APPLYING, ready_since=T0, report=report())
    assert judge(view(), again, after(minutes=14, seconds=59)) is None
    assert judge(view(), again, after(minutes=15)) is not None


def test_no_deadline_runs_while_a_dependency_is_waited_for() -> None:
    held = report(reason=ReasonCode.DEPENDENCY_NOT_READY)
    waiting = target(TargetState.APPLYING, report=held)
    assert judge(view(), waiting, after(days=9)) is None
    back = judge(view(RolloutKind.ROLLBACK), waiting, after(minutes=10))
    assert moved(back, TargetState.APPLYING)[0] is TargetState.TIMED_OUT
    let_go = target(TargetState.APPLYING, report=report(unheld_at=after(minutes=7)))
    assert judge(view(), let_go, after(minutes=16, seconds=59)) is None
    assert judge(view(), let_go, after(minutes=17)) is not None
    early = target(TargetState.APPLYING, report=report(unheld_at=after(minutes=-7)))
    assert judge(view(), early, after(minutes=9)) is None
    other = report(unheld_at=after(minutes=7), generation=3)
    assert judge(view(), target(TargetState.APPLYING, report=other), after(minutes=10)) is not None


def test_a_release_that_nobody_spoke_of_is_skipped_for_the_clusters_reach() -> None:
    resting, silent = target(reach=RESTING), target(reach=SILENT)
    assert moved(judge(view(), resting, T0)) == NOT_NOW
    assert judge(view(), silent, after(minutes=9)) is None
    assert moved(judge(view(), silent, after(minutes=10))) == OFFLINE
    long_silent = target(reach=Reach(False, after(minutes=-20)))
    assert moved(judge(view(), long_silent, T0)) == OFFLINE
    heard = target(TargetState.APPLYING, reach=RESTING)
    assert judge(view(), heard, T0) is None
    said = target(reach=RESTING, report=report())
    assert moved(judge(view(), said, T0))[0] is TargetState.APPLYING


def test_a_rollback_waits_for_a_resting_cluster_until_the_deadline() -> None:
    back, resting = view(RolloutKind.ROLLBACK), target(reach=RESTING)
    assert judge(back, resting, after(minutes=9)) is None
    assert moved(judge(back, resting, after(minutes=10))) == NOT_NOW


def test_a_target_waits_only_for_a_cluster_that_will_act_on_it_soon() -> None:
    def skipped(reach: Reach, now: datetime, kind: RolloutKind = RolloutKind.PUBLISH) -> Any:
        waiting = target(TargetState.TO_APPLY, reach=reach)
        found = skip_unreachable(view(kind), waiting, now)
        return None if found is None else moved(found, TargetState.TO_APPLY)

    back = RolloutKind.ROLLBACK
    assert skipped(Reach(gone=True), T0) == skipped(Reach(gone=True), T0, back) == DEREGISTERED
    assert skipped(RESTING, T0) == NOT_NOW
    assert skipped(RESTING, T0, back) is None
    assert skipped(SILENT, after(minutes=19, seconds=59)) is None
    assert skipped(SILENT, after(minutes=20)) == OFFLINE
    assert skipped(SILENT, after(minutes=20), back) is None
    assert skipped(Reach(False, None), T0) == OFFLINE
    assert skipped(Reach(silent_since=after(days=-1)), T0) is None


def test_who_is_back_waits_for_release_again() -> None:
    found = take_up(target(TargetState.SKIPPED))
    assert moved(found, TargetState.SKIPPED) == (
        TargetState.TO_APPLY, ReasonCode.CLUSTER_CONNECTED, "the cluster is back: taken up",
        None, None,
    )  # fmt: skip
