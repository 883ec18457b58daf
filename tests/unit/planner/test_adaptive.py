"""Adaptive pacing: between floor and ceiling, down on each bad sign, up again by evidence."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contract.reasons import ReasonCode
from shared.contract.states import TargetState
from shared.contract.strategy import Pace
from shared.planner.adaptive import judge_pace, learn, percentile90
from shared.planner.decisions import MoveTarget, SetPace
from shared.planner.pacing import CALM, Pacing, Pressure, begin
from shared.planner.view import TargetView
from shared.services import adaptive_pace

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PACE = Pace.model_validate({"perMinute": 60, "mode": "adaptive", "minPerMinute": 5})
SPAN = timedelta(seconds=15)

PRESSURES = st.builds(
    Pressure,
    st.integers(0, 100),
    st.integers(0, 100),
    st.lists(st.floats(0, 3600), max_size=50).map(tuple),
    st.floats(0, 100),
)
ENDS = st.lists(st.none() | st.floats(0, 3600), max_size=40)
"""Of targets: None for a failed one, else the seconds to Ready."""
LOOKS = st.lists(st.tuples(st.floats(0, 300), ENDS, PRESSURES), max_size=60)


def ended(pacing: Pacing, *seconds: float | None, now: datetime = NOW) -> Pacing:
    """After these targets ended."""
    targets, moves = {}, []
    for number, took in enumerate(seconds):
        cluster_id = UUID(int=number)
        released = None if took is None else now - timedelta(seconds=took)
        targets[cluster_id] = TargetView(
            cluster_id, f"c{number}", 0, number, TargetState.APPLYING, "d", released_at=released
        )
        moves.append(move(cluster_id, None if took is None else now))
    return learn(pacing, moves, targets)


def move(cluster_id: UUID, ready_since: datetime | None) -> MoveTarget:
    return MoveTarget(
        cluster_id=cluster_id,
        cluster="c",
        stage=0,
        was=TargetState.APPLYING,
        becomes=TargetState.FAILED if ready_since is None else TargetState.SUCCEEDED,
        ready_since=ready_since,
        reason=ReasonCode.UPGRADE_SUCCEEDED,
        message="",
    )


def judged(
    pacing: Pacing, pressure: Pressure = CALM, *, at: datetime = NOW + SPAN
) -> tuple[Pacing, SetPace | None]:
    return judge_pace(pacing, PACE, pressure, at)


def lowered(reason: ReasonCode = ReasonCode.SLOWED_BY_LAG) -> Pacing:
    """At the floor."""
    return Pacing(PACE.floor, since=NOW, judged_at=NOW, reason=reason)


@given(LOOKS)
def test_rate_never_leaves_the_declared_bounds(
    looks: Sequence[tuple[float, list[float | None], Pressure]],
) -> None:
    pacing, now = begin(PACE, NOW), NOW
    for pause, ends, pressure in looks:
        now += timedelta(seconds=pause)
        before = pacing.per_minute
        pacing, change = judge_pace(ended(pacing, *ends, now=now), PACE, pressure, now)
        assert PACE.floor <= pacing.per_minute <= PACE.per_minute
        assert (change is not None) == (pacing.per_minute != before)
        if change is not None:
            assert (change.was, change.per_minute) == (before, pacing.per_minute)
            assert change.reason.value in (pacing.reason or "")
            assert f"to {change.per_minute:g} a minute" in change.message


@given(LOOKS)
def test_what_was_seen_is_bounded_and_survives_a_restart(
    looks: Sequence[tuple[float, list[float | None], Pressure]],
) -> None:
    pacing = begin(PACE, NOW)
    for pause, ends, pressure in looks:
        now = pacing.judged_at + timedelta(seconds=pause)
        pacing, _ = judge_pace(ended(pacing, *ends, now=now), PACE, pressure, now)
        assert len(pacing.seconds) <= 30
        found = adaptive_pace.restored(PACE, adaptive_pace.kept(pacing), now)
        assert found is not None
        assert found.seconds == pytest.approx(pacing.seconds, abs=1e-3)
        assert adaptive_pace.kept(found) == adaptive_pace.kept(pacing)


@pytest.mark.parametrize(
    ("pacing", "pressure", "reason"),
    [
        (ended(begin(PACE, NOW), 1.0, None), CALM, ReasonCode.SLOWED_BY_FAILURES),
        (begin(PACE, NOW), Pressure(20, 3), ReasonCode.SLOWED_BY_SOURCE),
        (begin(PACE, NOW), Pressure(lag_seconds=16.0), ReasonCode.SLOWED_BY_LAG),
        (
            ended(ended(begin(PACE, NOW), *[4.0] * 10), *[30.0] * 4),
            CALM,
            ReasonCode.SLOWED_BY_APPLY_TIME,
        ),
        (
            ended(begin(PACE, NOW), *[4.0] * 10),
            Pressure(10, 0, (9.0,) * 4),
            ReasonCode.SLOWED_BY_APPLY_TIME,
        ),
    ],
)
def test_each_bad_sign_halves_the_rate_at_once(
    pacing: Pacing, pressure: Pressure, reason: ReasonCode
) -> None:
    after, change = judged(pacing, pressure, at=NOW)
    assert change is not None
    assert (change.reason, change.was, change.per_minute) == (reason, 60.0, 30.0)
    assert (after.reason, after.since) == (reason, NOW)


@pytest.mark.parametrize(
    ("pacing", "pressure"),
    [
        (ended(begin(PACE, NOW), *[1.0] * 19, None), CALM),
        (begin(PACE, NOW), Pressure(20, 2)),
        (begin(PACE, NOW), Pressure(1, 1)),
        (begin(PACE, NOW), Pressure(lag_seconds=15.0)),
        (ended(begin(PACE, NOW), *[4.0] * 10, 500.0), CALM),
        (ended(ended(begin(PACE, NOW), *[4.0] * 10), *[7.0] * 20), CALM),
        (begin(PACE, NOW), Pressure(50, 0, (500.0,) * 50)),
    ],
    ids=[
        "one in twenty failed",
        "one in ten without its artifact",
        "a single one without its artifact",
        "a lag of three ticks",
        "a straggler",
        "not twice as long",
        "no baseline yet",
    ],
)
def test_what_is_no_bad_sign_changes_nothing(pacing: Pacing, pressure: Pressure) -> None:
    after, change = judged(pacing, pressure, at=NOW)
    assert change is None
    assert after.per_minute == 60.0


def test_a_second_lowering_waits_for_the_first_to_show() -> None:
    bad = Pressure(lag_seconds=60.0)
    pacing, _ = judged(begin(PACE, NOW), bad, at=NOW)
    soon, change = judged(pacing, bad, at=NOW + SPAN - timedelta(seconds=1))
    assert change is None
    later, change = judged(soon, bad, at=NOW + SPAN)
    assert change is not None
    assert later.per_minute == 15.0


def test_what_takes_minutes_to_show_is_waited_for_as_long() -> None:
    slow = ended(begin(PACE, NOW), *[90.0] * 10)
    assert slow.span == timedelta(seconds=90)
    assert ended(begin(PACE, NOW), *[900.0] * 10).span == timedelta(seconds=120)


def test_a_lasting_bad_sign_ends_at_the_floor_and_says_so_once() -> None:
    pacing, now, changes = begin(PACE, NOW), NOW, []
    for _ in range(20):
        now += SPAN
        pacing, change = judged(pacing, Pressure(lag_seconds=60.0), at=now)
        changes += [change.per_minute] if change else []
    assert changes == [30.0, 15.0, 7.5, 5.0]


def test_success_raises_the_rate_step_by_step_up_to_what_was_declared() -> None:
    pacing, now, rates = lowered(), NOW, []
    for _ in range(12):
        now += SPAN
        pacing, change = judged(ended(pacing, 1.0, now=now), at=now)
        rates += [change.per_minute] if change else []
    assert rates == [11.0, 17.0, 23.0, 29.0, 35.0, 41.0, 47.0, 53.0, 59.0, 60.0]
    assert pacing.reason is ReasonCode.PACE_RAISED


def test_silence_raises_nothing_and_neither_does_haste() -> None:
    pacing, change = judged(lowered(), at=NOW + timedelta(hours=9))
    assert (pacing.per_minute, change) == (5.0, None)
    _, change = judged(ended(lowered(), 1.0), at=NOW + SPAN - timedelta(seconds=1))
    assert change is None


def test_after_a_raise_a_bad_sign_is_heard_at_once() -> None:
    pacing, _ = judged(ended(lowered(), 1.0))
    _, change = judged(pacing, Pressure(lag_seconds=60.0))
    assert change is not None
    assert change.per_minute == 5.5


def test_a_rollout_that_gets_better_has_its_better_times_for_a_baseline() -> None:
    pacing = ended(ended(begin(PACE, NOW), *[60.0] * 10), *[10.0] * 30)
    assert pacing.baseline == 10.0
    assert pacing.slow_seconds == 20.0
    assert percentile90([*range(1, 11)]) == 9


def test_a_row_outside_of_the_bounds_is_taken_for_the_nearest_bound() -> None:
    kept = adaptive_pace.kept(begin(PACE, NOW)) | {"perMinute": 9_000}
    found = adaptive_pace.restored(PACE, kept, NOW)
    assert found is not None
    assert found.per_minute == 60.0
    assert adaptive_pace.restored(Pace(), kept, NOW) is None
