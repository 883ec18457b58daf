"""One HTTP call, made until it is answered or its deadline has passed.

Retried are lost connections, timeouts, 429, 502, 503 and 504, with full jitter (AWS Architecture
Blog, "Exponential Backoff And Jitter") and never before `Retry-After`. Only calls that may be
repeated are: reads, conditional writes, and POSTs, which all carry an Idempotency-Key that stays
the same over the attempts. A redirect is an error: a token is for the server it was meant for.
"""

from __future__ import annotations

import json
import random
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Self

import httpx
from pydantic import ValidationError

from arcbridge.client.errors import Misconfigured, Unreachable, api_error
from shared.contract.errors import ErrorCode, Problem

_TRY_AGAIN = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long a call may take."""

    deadline_seconds: float = 60.0
    """For a call with all its attempts and waits."""
    attempt_seconds: float = 30.0
    """For one attempt."""
    first_wait_seconds: float = 0.5
    """The first retry comes after a random part of this; the bound doubles each time."""
    longest_wait_seconds: float = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Time and chance; tests put their own in."""

    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random
    """From 0 to 1."""


class Transport:
    """Calls under one base URL; to be closed."""

    def __init__(
        self,
        server: str,
        token: Callable[[], str] | None,
        *,
        limits: Limits | None = None,
        timing: Timing | None = None,
        ca_file: str | None = None,
        http: httpx.Client | None = None,
    ) -> None:
        self._token = token
        self._limits = limits or Limits()
        self._timing = timing or Timing()
        self._server = _base(server)
        self._http = http or httpx.Client(verify=_verification(ca_file), follow_redirects=False)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, object] | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """The answer, when it is a success. `body` is JSON-ready.

        Raises a subclass of ClientError.
        """
        request = self._http.build_request(
            method,
            f"{self._server}/api/{path}",
            params={key: _text(each) for key, each in (query or {}).items() if each is not None},
            content=None if body is None else json.dumps(body).encode(),
            headers=self._headers(method, body, headers or {}),
        )
        return self._attempts(request)

    def _headers(self, method: str, body: object, headers: Mapping[str, str]) -> dict[str, str]:
        found = {"Accept": "application/json", **headers}
        if body is not None:
            found.setdefault("Content-Type", "application/json")
        if method == "POST":
            found.setdefault("Idempotency-Key", str(uuid.uuid4()))
        return found

    def _attempts(self, request: httpx.Request) -> httpx.Response:
        limits, timing = self._limits, self._timing
        ends = timing.monotonic() + limits.deadline_seconds
        bound = limits.first_wait_seconds
        while True:
            left = ends - timing.monotonic()
            outcome = self._attempt(request, min(limits.attempt_seconds, max(left, 0.001)))
            if isinstance(outcome, httpx.Response) and outcome.status_code not in _TRY_AGAIN:
                return _success(outcome)
            wait = max(_retry_after(outcome), timing.jitter() * bound)
            if timing.monotonic() + wait >= ends:
                return _give_up(outcome)
            timing.sleep(wait)
            bound = min(bound * 2, limits.longest_wait_seconds)

    def _attempt(
        self, request: httpx.Request, seconds: float
    ) -> httpx.Response | httpx.TransportError:
        if self._token is not None:  # asked each time: it may have been renewed meanwhile
            request.headers["Authorization"] = f"Bearer {self._token()}"
        request.extensions["timeout"] = httpx.Timeout(seconds).as_dict()
        try:
            return self._http.send(request)
        except httpx.TransportError as error:
            return error


def _base(server: str) -> str:
    """The address that paths are put behind. Raises Misconfigured."""
    try:
        url = httpx.URL(server)
    except httpx.InvalidURL as error:
        raise Misconfigured(f"{server!r} is no server's URL: {error}") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise Misconfigured(f"{server!r} is no server's URL: write it as https://host")
    return server.rstrip("/")


def _verification(ca_file: str | None) -> Any:
    import ssl

    if not ca_file:
        return True
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # what is no PEM is an SSLError, which is one
        why = error.strerror or error
        raise Misconfigured(f"{ca_file} cannot be used as authorities to trust: {why}") from error


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _retry_after(outcome: httpx.Response | httpx.TransportError) -> float:
    """Seconds the server asks for; ArcBridge writes whole seconds, never a date."""
    if isinstance(outcome, httpx.TransportError):
        return 0.0
    text = outcome.headers.get("Retry-After", "")
    return float(text) if text.isdigit() else 0.0


def _give_up(outcome: httpx.Response | httpx.TransportError) -> httpx.Response:
    if isinstance(outcome, httpx.Response):
        return _success(outcome)
    url = outcome.request.url
    what = "did not answer in time" if isinstance(outcome, httpx.TimeoutException) else str(outcome)
    raise Unreachable(f"{url.scheme}://{url.netloc.decode()}: {what}") from outcome


def _success(response: httpx.Response) -> httpx.Response:
    if response.is_success or response.status_code == HTTPStatus.NOT_MODIFIED:
        return response
    raise api_error(_problem(response))


def _problem(response: httpx.Response) -> Problem:
    """The problem document; one made from the status when something else answered."""
    try:
        return Problem.model_validate_json(response.content, extra="ignore")
    except ValidationError:
        status = response.status_code
        hint = "is this ArcBridge's address?" if status == HTTPStatus.NOT_FOUND else "no details"
        return Problem(
            title=response.reason_phrase or str(status),
            status=max(400, status),
            code=_code(status),
            detail=f"{response.request.url} answered {status} without a problem document: {hint}",
        )


def _code(status: int) -> ErrorCode:
    by_status = {401: ErrorCode.UNAUTHENTICATED, 403: ErrorCode.FORBIDDEN, 404: ErrorCode.NOT_FOUND}
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS:
        return ErrorCode.UNAVAILABLE
    return by_status.get(status, ErrorCode.INVALID_REQUEST)
