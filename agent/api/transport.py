"""One HTTP exchange with the control plane: its deadline, its size limit, how it can fail."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from pydantic import ValidationError

from agent.api.errors import ControlPlaneRefused, ControlPlaneUnreachable
from agent.errors import AgentError
from agent.proxies import proxy_for
from shared.contract.errors import ErrorCode, Problem

DEADLINE_SECONDS = 30.0
ANSWER_BYTES_MAX = 64 * 1024 * 1024
"""A desired document of 200 extensions with values of 256 KiB each stays below."""
RETRY_AFTER_MAX_SECONDS = 600.0
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Answer:
    """A successful answer."""

    status: int
    headers: httpx.Headers
    content: bytes

    @property
    def date(self) -> datetime | None:
        """The server's clock, from the `Date` header."""
        try:
            return parsedate_to_datetime(self.headers["date"]).astimezone(UTC)
        except (KeyError, ValueError):
            return None


class InsecureUrl(AgentError):
    """Plain http to another machine would show the bootstrap token to the network."""


class Transport:
    """Keeps connections to the control plane's API. Proxies come from the environment."""

    def __init__(
        self,
        base_url: str,
        *,
        ca_file: Path | None = None,
        on_date: Callable[[datetime], None] | None = None,
    ) -> None:
        """`base_url` is without `/api/v1`; `on_date` hears the server's clock with each answer.

        Raises InsecureUrl for http that leaves the machine.
        """
        self._on_date = on_date
        parts = urlsplit(base_url)
        if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
            raise InsecureUrl(f"controlPlaneUrl must be https: {base_url}")
        self._client = httpx.AsyncClient(
            base_url=f"{base_url.rstrip('/')}/api/v1",
            verify=_tls(ca_file) if parts.scheme == "https" else False,
            proxy=proxy_for(base_url, os.environ),
            trust_env=False,  # read above, by the rules that hold for all of the agent
            timeout=httpx.Timeout(None),  # the deadline here is asyncio's
            limits=httpx.Limits(max_connections=4, max_keepalive_connections=2),
            follow_redirects=False,
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._client.aclose()

    async def send(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        deadline_seconds: float = DEADLINE_SECONDS,
    ) -> Answer:
        """Send one request. Raises ControlPlaneUnreachable or ControlPlaneRefused."""
        try:
            async with asyncio.timeout(deadline_seconds):
                answer = await self._exchange(method, path, dict(headers or {}), content)
        except TimeoutError as error:
            raise ControlPlaneUnreachable(f"no answer within {deadline_seconds:g} s") from error
        except httpx.HTTPError as error:
            raise ControlPlaneUnreachable(f"{type(error).__name__}: {error}") from error
        if self._on_date is not None and answer.date is not None:
            self._on_date(answer.date)
        if answer.status == 304 or 200 <= answer.status < 300:
            return answer
        raise _refusal(answer)

    async def _exchange(
        self, method: str, path: str, headers: dict[str, str], content: bytes | None
    ) -> Answer:
        if content is not None:
            headers["Content-Type"] = "application/json"
        async with self._client.stream(method, path, headers=headers, content=content) as response:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > ANSWER_BYTES_MAX:
                    raise ControlPlaneUnreachable("the answer is too large to be real")
            return Answer(response.status_code, response.headers, bytes(body))


def _refusal(answer: Answer) -> AgentError:
    retry_after = _retry_after(answer.headers)
    try:
        problem = Problem.model_validate_json(answer.content)
    except ValidationError:
        if answer.status >= 500 or answer.status == 429:
            return ControlPlaneRefused(
                ErrorCode.UNAVAILABLE, "no answer from the control plane itself",
                status=answer.status, retry_after=retry_after,
            )  # fmt: skip
        return ControlPlaneUnreachable(f"an answer that is no problem document: {answer.status}")
    return ControlPlaneRefused(
        problem.code,
        problem.detail,
        status=answer.status,
        retry_after=problem.retry_after_seconds if retry_after is None else retry_after,
    )


def _retry_after(headers: httpx.Headers) -> float | None:
    """Seconds of `Retry-After` (the control plane never sends the date form), bounded."""
    try:
        return min(RETRY_AFTER_MAX_SECONDS, max(0.0, float(headers["retry-after"])))
    except (KeyError, ValueError):
        return None


def _tls(ca_file: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_file is not None:
        context.load_verify_locations(cafile=str(ca_file))
    return context
