"""What leaves the edge when an endpoint fails: words for the caller, details for the log only."""

from __future__ import annotations

import asyncio
import json
import logging
from http import HTTPStatus
from typing import Any

import pytest
from azure.functions import HttpRequest

from functions.edge import pipeline
from functions.edge.endpoint import Endpoint, Handler, IfMatch
from shared.contract.errors import ErrorCode
from shared.domain.errors import ArcBridgeError


def endpoint(handler: Handler) -> Endpoint:
    """An endpoint that needs no credential: it goes by the name of one of those."""
    handler.__name__ = "docs"
    return Endpoint(
        handler=handler, method="GET", route="docs", tag="t", status=HTTPStatus.OK,
        accepts=(), body_limit=1024, if_match=IfMatch.IGNORED, limit=None, shown_once=False,
        problems=(), content_type=None,
    )  # fmt: skip


def request(url: str = "http://x/api/docs", body: bytes = b"") -> HttpRequest:
    return HttpRequest("GET", url, headers={}, body=body)


async def serve(handler: Handler, req: HttpRequest | None = None) -> tuple[int, dict[str, Any]]:
    response = await pipeline.serve(endpoint(handler), req or request())
    return response.status_code, json.loads(response.get_body())


async def test_a_defect_is_internal_and_tells_nothing_of_itself(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def broken() -> None:
        raise RuntimeError("the password is hunter2")

    with caplog.at_level(logging.ERROR, logger="arcbridge"):
        status, problem = await serve(broken)
    assert (status, problem["code"]) == (500, "Internal")
    assert len(problem["traceId"]) == 32
    assert "hunter2" not in json.dumps(problem)
    assert len([each for each in caplog.records if each.exc_info]) == 1


async def test_what_takes_too_long_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    async def slow() -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr(pipeline, "DEADLINE_SECONDS", 0.01)
    status, problem = await serve(slow)
    assert (status, problem["code"]) == (503, "Unavailable")
    assert problem["retryAfterSeconds"] > 0


async def test_the_hosts_cancellation_goes_through() -> None:
    async def slow() -> None:
        await asyncio.sleep(60)

    task = asyncio.create_task(pipeline.serve(endpoint(slow), request()))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_error_of_a_service_becomes_its_problem() -> None:
    async def conflicting() -> None:
        raise ArcBridgeError(ErrorCode.CONFLICT, "not now", retry_after=3)

    status, problem = await serve(conflicting)
    assert (status, problem["detail"], problem["retryAfterSeconds"]) == (409, "not now", 3)


@pytest.mark.parametrize(
    ("url", "field"),
    [
        ("http://x/api/docs?a=1", "a"),
        ("http://x/api/docs?a=1&a=2", "a"),
        ("http://x/api/docs?" + "&".join(f"p{n}=1" for n in range(40)), "query"),
        ("http://x/api/docs?" + "a" * 9000, "query"),
        ("http://x/api/docs?a=%ff", "query"),
    ],
)
async def test_a_query_string_that_is_not_expected_is_refused(url: str, field: str) -> None:
    async def never() -> None:
        raise AssertionError("not reached")

    status, problem = await serve(never, request(url))
    assert (status, problem["errors"][0]["field"]) == (400, field)


async def test_a_body_where_none_is_expected_is_refused() -> None:
    async def never() -> None:
        raise AssertionError("not reached")

    status, problem = await serve(never, request(body=b"{}"))
    assert (status, problem["errors"][0]["field"]) == (400, "body")
