"""What is asked of the script in Redis; the script itself is tested on a real server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from redis.exceptions import RedisError

from shared.contract.errors import ErrorCode
from shared.domain.errors import ArcBridgeError
from shared.pacing.gcra import Rate
from shared.pacing.redis import RedisTokens
from shared.pacing.source import Bucket, Grant

Answer = Callable[[], Awaitable[tuple[int, int]]]


class Asked:
    """In a client's place: keeps what a script is called with."""

    def __init__(self, answer: Answer) -> None:
        self.script = ""
        self.calls: list[tuple[list[str], list[Any]]] = []
        self._answer = answer

    def register_script(self, text: str) -> Callable[..., Awaitable[tuple[int, int]]]:
        self.script = text

        async def script(keys: list[str], args: list[Any]) -> tuple[int, int]:
            self.calls.append((keys, args))
            return await self._answer()

        return script


async def three_and_more_in_a_second() -> tuple[int, int]:
    return 3, 1_000_000


async def nothing_for_ever() -> tuple[int, int]:
    await asyncio.Event().wait()
    return 0, 0


def tokens(answer: Answer) -> tuple[RedisTokens, Asked]:
    asked = Asked(answer)
    return RedisTokens(asked), asked  # type: ignore[arg-type] # the one method that it uses


async def test_the_script_gets_microseconds_and_how_long_each_bucket_is_kept() -> None:
    source, asked = tokens(three_and_more_in_a_second)
    paced = Bucket("paced", Rate(60, 10))
    limit = Bucket("limit", Rate(60, 10), starts_full=True)
    assert await source.take([paced, limit], 5) == Grant(3, 1.0)
    await source.fill(paced)
    assert asked.script.startswith("-- ")
    day_and_fill, fill = 86_410_001, 10_001
    assert asked.calls == [
        (
            ["paced", "limit"],
            [5, "take", "1000000.000000", 10, 0, day_and_fill, "1000000.000000", 10, 1, fill],
        ),
        (["paced"], [0, "fill", "1000000.000000", 10, 0, day_and_fill]),
    ]


@pytest.mark.parametrize("error", [RedisError("gone"), OSError("gone"), TimeoutError()])
async def test_buckets_out_of_reach_are_said_to_be_so(error: Exception) -> None:
    async def fail() -> tuple[int, int]:
        raise error

    source, _ = tokens(fail)
    with pytest.raises(ArcBridgeError) as caught:
        await source.take([Bucket("b", Rate(60, 10))], 1)
    assert caught.value.code is ErrorCode.UNAVAILABLE
    assert caught.value.detail == "the token buckets cannot be reached"
    assert caught.value.retry_after == 5.0


async def test_an_answer_is_waited_for_two_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float | None] = []
    timeout = asyncio.timeout

    def none_at_all(seconds: float | None) -> asyncio.Timeout:
        waits.append(seconds)
        return timeout(0)

    source, _ = tokens(nothing_for_ever)
    monkeypatch.setattr(asyncio, "timeout", none_at_all)
    with pytest.raises(ArcBridgeError, match="cannot be reached"):
        await source.take([Bucket("b", Rate(60, 10))], 1)
    assert waits == [2.0]
