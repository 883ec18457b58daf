"""Buckets in memory are asked as any source of tokens is."""

from __future__ import annotations

import pytest

from shared.pacing.gcra import Rate
from shared.pacing.memory import MemoryTokens
from shared.pacing.source import Bucket, Grant


def test_tokens_come_out_of_all_buckets_or_of_none() -> None:
    source = MemoryTokens(lambda: 0.0)
    wide = Bucket("wide", Rate(60, 10), starts_full=True)
    narrow = Bucket("narrow", Rate(60, 3), starts_full=True)
    assert source.take_now([wide, narrow], 5).count == 3
    assert source.take_now([wide, narrow], 5).count == 0
    assert source.take_now([wide], 10).count == 7


async def test_buckets_in_memory_are_asked_as_any_source_is() -> None:
    now = [0.0]
    source = MemoryTokens(lambda: now[0])
    bucket = Bucket("b", Rate(60, 3))
    assert await source.take([bucket], 2) == Grant(0, pytest.approx(1.0, abs=1e-3))
    await source.fill(bucket)
    assert (await source.take([bucket], 2)).count == 0, "one that is known stays as it is"
    fresh = Bucket("fresh", Rate(60, 3))
    await source.fill(fresh)
    assert await source.take([fresh], 2) == Grant(2, 0.0)
    assert await source.take([fresh], 2) == Grant(1, pytest.approx(1.0, abs=1e-3))
    now[0] = 2.0
    assert (await source.take([bucket, fresh], 9)).count == 2


def test_who_asks_no_bucket_gets_what_it_wants_and_waits_for_nothing() -> None:
    assert MemoryTokens(lambda: 0.0).take_now([], 5) == Grant(5, 0.0)
