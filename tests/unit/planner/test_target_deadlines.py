"""What becomes of a target that is not ready in time, or whose cluster is out of reach."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from shared.contract.reasons import ReasonCode
from shared.contract.states import (
    RolloutKind,
    TargetState,
)
from shared.planner.targets import judge, skip_unreachable, take_up
from shared.planner.view import GivenUp, Reach
from tests.unit.planner.one_target import (
    DEREGISTERED,
    NOT_NOW,
    OFFLINE,
    READY,
    RESTING,
    SILENT,
    T0,
    after,
    moved,
    report,
    target,
    view,
)


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


def test_a_cluster_that_is_left_alone_is_skipped_whatever_it_has_begun() -> None:
    """Nothing is brought on there, and nobody watches: no deadline and no soak may judge it."""
    begun = target(TargetState.APPLYING, reach=RESTING, report=report())
    assert moved(judge(view(), begun, T0), TargetState.APPLYING) == NOT_NOW
    assert moved(judge(view(), begun, after(minutes=11)), TargetState.APPLYING) == NOT_NOW
    ready = report(READY, ready_since=T0)
    soaking = target(TargetState.VERIFYING, reach=RESTING, ready_since=T0, report=ready)
    for minutes in (1, 6):
        found = judge(view(), soaking, after(minutes=minutes))
        assert moved(found, TargetState.VERIFYING) == NOT_NOW
    over = judge(view(), begun, after(hours=1))
    assert moved(over, TargetState.APPLYING)[0] is TargetState.TIMED_OUT


def test_what_came_through_before_its_cluster_was_left_alone_has_come_through() -> None:
    ready = target(stage=0, reach=RESTING, report=report(READY, ready_since=T0))
    found = judge(view(), ready, T0)
    assert found is not None
    assert found.becomes is TargetState.SUCCEEDED
    failed = target(reach=RESTING, given_up=GivenUp(4, ReasonCode.UPGRADE_FAILED))
    assert moved(judge(view(), failed, T0))[0] is TargetState.FAILED


def test_a_rollback_goes_on_on_a_resting_cluster_until_the_deadline() -> None:
    back = view(RolloutKind.ROLLBACK)
    begun = target(TargetState.APPLYING, reach=RESTING, report=report())
    assert judge(back, begun, after(minutes=9)) is None
    assert moved(judge(back, begun, after(minutes=10)), TargetState.APPLYING) == NOT_NOW
    ready = report(READY, ready_since=T0)
    soaking = target(TargetState.VERIFYING, reach=RESTING, ready_since=T0, report=ready)
    found = judge(back, soaking, after(minutes=20))
    assert moved(found, TargetState.VERIFYING)[0] is TargetState.SUCCEEDED


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
