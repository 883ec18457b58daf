"""Buckets as properties: no rate, burst or history makes a token out of nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.pacing import gcra
from shared.pacing.gcra import Rate
from shared.pacing.memory import MemoryTokens
from shared.pacing.source import Bucket

RATES = st.builds(Rate, st.floats(0.1, 100_000), st.integers(1, 1000))


@given(RATES, st.floats(0, 1e9))
def test_full_bucket_holds_its_burst_and_an_empty_one_nothing(rate: Rate, now: float) -> None:
    assert gcra.available(gcra.full(rate, now), rate, now) == rate.burst
    assert gcra.available(gcra.empty(rate, now), rate, now) == 0


@given(RATES)
def test_empty_bucket_is_full_after_its_fill_time(rate: Rate) -> None:
    level = gcra.empty(rate, 0.0)
    assert gcra.available(level, rate, rate.fill_seconds) == rate.burst


@given(RATES, st.integers(0, 1000))
def test_what_is_taken_is_missing(rate: Rate, count: int) -> None:
    level = gcra.full(rate, 0.0)
    if count > rate.burst:
        with pytest.raises(ValueError, match="holds fewer"):
            gcra.take(level, rate, count, 0.0)
    else:
        left = gcra.take(level, rate, count, 0.0)
        assert gcra.available(left, rate, 0.0) == rate.burst - count


@given(RATES, RATES, st.integers(0, 1000), st.floats(0, 600))
def test_changing_the_rate_makes_no_tokens(old: Rate, new: Rate, count: int, later: float) -> None:
    level = gcra.take(gcra.full(old, 0.0), old, min(count, old.burst), 0.0)
    before = gcra.tokens(level, old, later)
    changed = gcra.tokens(level, Rate(new.per_minute, old.burst), later)
    assert changed == pytest.approx(before, abs=1e-6)


@given(RATES)
def test_wait_is_exactly_until_one_token_is_there(rate: Rate) -> None:
    level = gcra.empty(rate, 0.0)
    after = gcra.wait(level, rate, 0.0)
    assert gcra.available(level, rate, after * 1.001 + 1e-9) >= 1
    assert gcra.available(level, rate, after * 0.99) == 0


@given(
    RATES,
    st.lists(st.tuples(st.floats(0, 30), st.integers(0, 50)), max_size=60),
    st.sets(st.integers(0, 60)),
)
def test_no_window_ever_sees_more_than_rate_and_burst(
    rate: Rate, asks: list[tuple[float, int]], losses: set[int]
) -> None:
    now = [0.0]
    source = MemoryTokens(lambda: now[0])
    given: list[tuple[float, int]] = []
    for number, (pause, wanted) in enumerate(asks):
        now[0] += pause
        if number in losses:
            source.lose_all()
        given.append((now[0], source.take_now([Bucket("b", rate)], wanted).count))
    for i, (start, _) in enumerate(given):
        total = 0
        for end, count in given[i:]:
            total += count
            assert total <= rate.per_minute / 60 * (end - start) + rate.burst + 1e-3
