"""The buckets' arithmetic, in numbers: what is there, what is taken, how long to wait."""

from __future__ import annotations

import pytest

from shared.pacing import gcra
from shared.pacing.gcra import Level, Rate

NOW = 1_000.0
RATE = Rate(per_minute=30.0, burst=4)
"""A token every two seconds, four at most."""


def test_a_rate_says_how_long_a_token_takes_and_a_whole_burst() -> None:
    assert (RATE.interval, RATE.fill_seconds) == (2.0, 8.0)


def test_a_full_bucket_is_full_now_and_an_empty_one_after_its_fill_time() -> None:
    assert gcra.full(RATE, NOW) == Level(full_at=NOW, interval=2.0)
    assert gcra.empty(RATE, NOW) == Level(full_at=NOW + 8.0, interval=2.0)


@pytest.mark.parametrize(
    ("full_at", "held"),
    [(NOW + 9.0, 0.0), (NOW + 8.0, 0.0), (NOW + 5.0, 1.5), (NOW, 4.0), (NOW - 60.0, 4.0)],
    ids=["no debt", "empty", "one and a half", "full", "full for long"],
)
def test_a_bucket_holds_its_burst_less_what_is_still_to_come(full_at: float, held: float) -> None:
    assert gcra.tokens(Level(full_at, 2.0), RATE, NOW) == held


def test_what_is_still_to_come_is_counted_at_the_rate_it_was_taken_at() -> None:
    taken_slowly = Level(NOW + 8.0, interval=4.0)
    assert gcra.tokens(taken_slowly, RATE, NOW) == 2.0


@pytest.mark.parametrize(
    ("full_at", "whole"),
    [(NOW + 6.0, 1), (NOW + 6.000_001, 1), (NOW + 6.001, 0), (NOW + 0.1, 3)],
    ids=["exactly one", "one but for rounding", "a little less than one", "nearly four"],
)
def test_only_whole_tokens_can_be_taken(full_at: float, whole: int) -> None:
    assert gcra.available(Level(full_at, 2.0), RATE, NOW) == whole


def test_taking_leaves_the_rest_at_the_rate_that_holds_now() -> None:
    full = gcra.full(Rate(60.0, 4), NOW)
    assert gcra.take(full, RATE, 3, NOW) == Level(NOW + 6.0, 2.0)
    assert gcra.take(full, RATE, 4, NOW) == Level(NOW + 8.0, 2.0)
    assert gcra.take(full, RATE, 0, NOW) == Level(NOW, 2.0)


def test_a_token_that_rounding_lent_leaves_no_debt() -> None:
    nearly_one = Level(NOW + 6.000_001, 2.0)
    assert gcra.take(nearly_one, RATE, 1, NOW) == Level(NOW + 8.0, 2.0)


def test_more_than_is_there_cannot_be_taken() -> None:
    with pytest.raises(ValueError, match=r"^5 tokens wanted of a bucket that holds fewer$"):
        gcra.take(gcra.full(RATE, NOW), RATE, 5, NOW)


@pytest.mark.parametrize(
    ("full_at", "seconds"),
    [(NOW + 8.0, 2.0), (NOW + 7.0, 1.0), (NOW + 6.0, 0.0), (NOW, 0.0)],
    ids=["empty", "half a token", "one is there", "full"],
)
def test_the_wait_is_for_what_a_whole_token_lacks(full_at: float, seconds: float) -> None:
    waited = gcra.wait(Level(full_at, 2.0), RATE, NOW)
    assert waited == pytest.approx(seconds, abs=1e-5)
    assert waited <= seconds, "by then it counts as whole"
