from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from relay.rates import Rate, Rates


def test_the_burst_passes_at_once_and_then_one_per_interval() -> None:
    rate = Rate(per_second=2.0, burst=3)
    assert [rate.take(0.0) for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
    assert rate.take(0.5) == 0.0
    assert rate.take(0.5) > 0


@given(st.lists(st.floats(0.0, 5.0), max_size=200))
def test_no_more_pass_than_burst_and_rate_allow(steps: list[float]) -> None:
    rate, now, passed = Rate(per_second=1.0, burst=5), 0.0, 0
    for step in steps:
        now += step
        passed += rate.take(now) == 0.0
    assert passed <= 5 + now + 1e-6


@given(st.floats(0.0, 100.0))
def test_waiting_as_long_as_it_says_is_enough(now: float) -> None:
    rate = Rate(per_second=3.0, burst=1)
    rate.take(now)
    assert rate.take(now + rate.take(now) + 1e-6) == 0.0


def test_keys_do_not_share_a_bucket() -> None:
    rates: Rates[str] = Rates(1.0, 1, most=10)
    assert (rates.take("a", 0.0), rates.take("b", 0.0)) == (0.0, 0.0)
    assert rates.take("a", 0.0) > 0


def test_no_more_keys_are_remembered_than_it_may() -> None:
    rates: Rates[int] = Rates(1.0, 1, most=10)
    for key in range(1_000):
        rates.take(key, 0.0)
    assert len(rates) <= 10


def test_keys_that_have_rested_are_forgotten() -> None:
    rates: Rates[int] = Rates(1.0, 1, most=1_000)
    for key in range(100):
        rates.take(key, float(key * 10))
    assert len(rates) <= 2
