from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.backoff import Backoff, spread
from agent.link.endings import End, Ended
from agent.link.keeper import DUPLICATE_FLOOR_SECONDS, wait_after

FRACTIONS = st.floats(0, 1, exclude_max=True)


@settings(deadline=None)
@given(st.integers(1, 10_000), FRACTIONS)
def test_a_wait_is_never_longer_than_the_cap_nor_busy(failures: int, random: float) -> None:
    backoff = Backoff(base_seconds=1, cap_seconds=120)
    assert 0.05 <= backoff.delay(failures, lambda: random) <= 120


@pytest.mark.parametrize(("failures", "ceiling"), [(1, 1), (2, 2), (3, 4), (7, 64), (8, 120)])
def test_the_ceiling_doubles_from_one_second_to_two_minutes(failures: int, ceiling: float) -> None:
    assert Backoff().ceiling(failures) == ceiling


@settings(deadline=None)
@given(FRACTIONS)
def test_heartbeats_spread_by_a_fifth_both_ways(random: float) -> None:
    assert 24 <= spread(30, 0.2, lambda: random) <= 36


@settings(deadline=None)
@given(FRACTIONS, st.floats(0, 600))
def test_a_drain_is_followed_within_its_spread(random: float, seconds: float) -> None:
    ended = Ended(End.DRAINED, spread_seconds=seconds)
    assert 0 <= wait_after(ended, 0, Backoff(), lambda: random) <= seconds


def test_the_loser_of_a_duplicate_does_not_come_back_at_once() -> None:
    wait = wait_after(Ended(End.DUPLICATE), 1, Backoff(), lambda: 0.0)
    assert wait >= DUPLICATE_FLOOR_SECONDS


def test_what_the_relay_asks_to_wait_is_waited() -> None:
    ended = Ended(End.BROKEN, retry_after=17.0)
    assert wait_after(ended, 1, Backoff(), lambda: 0.0) >= 17.0


def test_a_new_certificate_is_used_at_once() -> None:
    assert wait_after(Ended(End.REPLACE), 0, Backoff(), lambda: 0.9) == 0
