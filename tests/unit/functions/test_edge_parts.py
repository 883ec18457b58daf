"""Entity tags, network addresses, and the statuses of problems."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from azure.functions import HttpRequest

from functions import runtime
from functions.edge import conditional
from functions.edge.credentials import network_address
from functions.edge.problems import STATUS, problem, problem_headers
from shared.contract.errors import ErrorCode
from shared.contract.reasons import ReasonCode
from shared.domain.errors import ArcBridgeError


def test_every_code_has_a_status() -> None:
    assert set(STATUS) == set(ErrorCode)


def test_a_reason_that_wakes_someone_brings_its_runbook() -> None:
    error = ArcBridgeError(ErrorCode.CONFLICT, "no", reason=ReasonCode.ROLLBACK_FAILED)
    assert problem(error, "t").runbook == "docs/runbooks/RollbackFailed.md"


def test_retry_after_is_whole_seconds_rounded_up() -> None:
    error = ArcBridgeError(ErrorCode.RATE_LIMITED, "slow down", retry_after=0.2)
    assert problem_headers(error)["Retry-After"] == "1"
    error = ArcBridgeError(ErrorCode.RATE_LIMITED, "slow down", retry_after=2.1)
    assert problem_headers(error)["Retry-After"] == "3"


@pytest.mark.parametrize(
    ("header", "found"), [('"7"', "7"), (' "7" ', "7"), ("*", "*"), (None, None)]
)
def test_if_match_gives_the_tag(header: str | None, found: str | None) -> None:
    assert conditional.if_match(header, required=False) == found


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (None, ErrorCode.PRECONDITION_REQUIRED),
        ("7", ErrorCode.INVALID_REQUEST),
        ('"7", "8"', ErrorCode.INVALID_REQUEST),
        ('W/"7"', ErrorCode.PRECONDITION_FAILED),
    ],
)
def test_an_if_match_that_cannot_hold_is_refused(header: str | None, code: ErrorCode) -> None:
    with pytest.raises(ArcBridgeError) as caught:
        conditional.if_match(header, required=True)
    assert caught.value.code is code


def test_if_none_match_compares_weakly_and_forgives() -> None:
    assert conditional.if_none_match('W/"a", "b"') == {"a", "b"}
    assert conditional.if_none_match("rubbish") == frozenset()


@pytest.mark.parametrize(
    ("header", "address"),
    [
        ("203.0.113.9:51234", "203.0.113.9"),
        ("10.0.0.1, 203.0.113.9:51234", "203.0.113.9"),
        ("203.0.113.9", "203.0.113.9"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("", None),
    ],
)
def test_the_address_is_the_last_one_that_the_front_end_appended(
    header: str, address: str | None
) -> None:
    req = HttpRequest("GET", "http://x/", headers={"X-Forwarded-For": header}, body=b"")
    assert network_address(req) == address


class Openings:
    """An opener that counts, and fails as often as it is told to."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.opened = 0
        self.closed = 0

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[Any]:
        await asyncio.sleep(0)
        if self.failures:
            self.failures -= 1
            raise ConnectionError("not yet")
        self.opened += 1
        try:
            yield cast(Any, object())
        finally:
            self.closed += 1


async def test_first_calls_at_once_share_one_control_plane() -> None:
    openings = Openings()
    planes = await asyncio.gather(*(runtime.control_plane(openings) for _ in range(50)))
    assert len({id(plane) for plane in planes}) == 1
    await runtime.close()
    assert (openings.opened, openings.closed) == (1, 1)


async def test_an_opening_that_fails_is_told_to_all_and_tried_again() -> None:
    openings = Openings(failures=1)
    results = await asyncio.gather(
        *(runtime.control_plane(openings) for _ in range(3)), return_exceptions=True
    )
    assert all(isinstance(each, ConnectionError) for each in results)
    await runtime.control_plane(openings)
    await runtime.close()
    assert openings.opened == 1


async def test_a_caller_that_gives_up_does_not_take_the_others_opening_along() -> None:
    openings = Openings()
    impatient = asyncio.create_task(runtime.control_plane(openings))
    patient = asyncio.create_task(runtime.control_plane(openings))
    await asyncio.sleep(0)
    impatient.cancel()
    await patient
    await runtime.close()
    assert openings.opened == 1


def test_the_end_of_the_loop_closes_the_control_plane() -> None:
    openings = Openings()
    asyncio.run(cast(Any, runtime.control_plane(openings)))
    assert (openings.opened, openings.closed) == (1, 1)
