"""Retries, deadlines and problem documents of the client's transport, against a scripted server."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from arcbridge.client.errors import (
    ApiError,
    Conflict,
    Denied,
    Invalid,
    Misconfigured,
    NotFound,
    Unavailable,
    Unreachable,
)
from arcbridge.client.transport import Limits, Timing, Transport


@dataclass
class Clock:
    """Time that passes only by sleeping."""

    now: float = 0.0
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def timing(self, jitter: float = 1.0) -> Timing:
        return Timing(monotonic=lambda: self.now, sleep=self.sleep, jitter=lambda: jitter)


Step = httpx.Response | type[httpx.TransportError]


def scripted(*steps: Step) -> tuple[Callable[[httpx.Request], httpx.Response], list[httpx.Request]]:
    """Answers in order, and what was asked."""
    seen: list[httpx.Request] = []
    waiting = list(steps)

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        step = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        if isinstance(step, httpx.Response):
            return step
        raise step("gone", request=request)

    return answer, seen


def transport(
    *steps: Step, clock: Clock | None = None, **limits: float
) -> tuple[Transport, list[httpx.Request]]:
    answer, seen = scripted(*steps)
    http = httpx.Client(transport=httpx.MockTransport(answer))
    made = Transport(
        "https://arcbridge.test/",
        lambda: "secret",
        limits=Limits(**limits),
        timing=(clock or Clock()).timing(),
        http=http,
    )
    return made, seen


def problem(status: int, code: str, **headers: str) -> httpx.Response:
    content = {"title": "t", "status": status, "code": code, "detail": "d"}
    return httpx.Response(
        status, json=content, headers={k.replace("_", "-"): v for k, v in headers.items()}
    )


OK = httpx.Response(200, json={})


def test_a_call_goes_below_api_with_the_token() -> None:
    made, seen = transport(OK)
    with made:
        made.call("GET", "v1/clusters", query={"limit": 5, "verify": True, "cursor": None})
    assert str(seen[0].url) == "https://arcbridge.test/api/v1/clusters?limit=5&verify=true"
    assert seen[0].headers["Authorization"] == "Bearer secret"


def test_a_post_keeps_its_idempotency_key_over_attempts() -> None:
    made, seen = transport(httpx.ConnectError, problem(503, "Unavailable"), OK)
    with made:
        made.call("POST", "v1/desired", body={"a": 1})
    keys = {request.headers["Idempotency-Key"] for request in seen}
    assert (len(seen), len(keys)) == (3, 1)
    assert json.loads(seen[2].content) == {"a": 1}


def test_the_wait_doubles_under_jitter_and_is_never_shorter_than_retry_after() -> None:
    clock = Clock()
    made, _ = transport(
        problem(503, "Unavailable"),
        problem(429, "RateLimited", Retry_After="7"),
        problem(503, "Unavailable"),
        OK,
        clock=clock,
    )
    with made:
        made.call("GET", "v1/clusters")
    assert clock.slept == [0.5, 7.0, 2.0]


def test_nothing_waits_past_the_deadline() -> None:
    clock = Clock()
    made, seen = transport(
        problem(429, "RateLimited", Retry_After="30"), clock=clock, deadline_seconds=20
    )
    with made, pytest.raises(Unavailable):
        made.call("GET", "v1/clusters")
    assert (clock.slept, len(seen)) == ([], 1)


def test_a_server_that_stays_away_is_unreachable_and_named() -> None:
    clock = Clock()
    made, _ = transport(httpx.ConnectError, clock=clock, deadline_seconds=10)
    with made, pytest.raises(Unreachable, match=r"arcbridge\.test"):
        made.call("GET", "v1/clusters")
    assert clock.now <= 10


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "InvalidRequest", Invalid),
        (401, "Unauthenticated", Denied),
        (403, "Forbidden", Denied),
        (404, "NotFound", NotFound),
        (409, "Conflict", Conflict),
        (412, "PreconditionFailed", Conflict),
        (428, "PreconditionRequired", Invalid),
        (500, "Internal", Unavailable),
    ],
)
def test_a_problem_becomes_an_exception_of_its_kind_at_once(
    status: int, code: str, kind: type[ApiError]
) -> None:
    made, seen = transport(problem(status, code))
    with made, pytest.raises(kind) as caught:
        made.call("GET", "v1/clusters/x")
    assert caught.value.problem.code == code
    assert len(seen) == 1


def test_an_answer_that_is_no_problem_document_says_so() -> None:
    made, _ = transport(httpx.Response(404, text="<html>nginx</html>"))
    with made, pytest.raises(NotFound, match="is this ArcBridge's address"):
        made.call("GET", "v1/clusters/x")


def test_a_redirect_is_an_error_because_the_token_is_for_this_server() -> None:
    made, seen = transport(httpx.Response(302, headers={"Location": "https://evil.test/"}))
    with made, pytest.raises(ApiError):
        made.call("GET", "v1/clusters")
    assert len(seen) == 1


@pytest.mark.parametrize(
    "server", ["arcbridge.test", "ftp://arcbridge.test", "https://", "https://a:b"]
)
def test_what_is_no_servers_url_is_refused_before_anything_is_sent(server: str) -> None:
    with pytest.raises(Misconfigured, match="server's URL"):
        Transport(server, None)


def test_a_file_of_authorities_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    nothing = tmp_path / "empty.pem"
    nothing.touch()
    for file in (nothing, tmp_path / "missing.pem"):
        with pytest.raises(Misconfigured, match=str(file)):
            Transport("https://arcbridge.test", None, ca_file=str(file))
