"""Adaptive pacing as properties: whatever is seen, the rate stays within its bounds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.planner.adaptive import judge_pace
from shared.planner.pacing import Pressure, begin
from shared.services import adaptive_pace
from tests.unit.planner.evidence import NOW, PACE, ended

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
