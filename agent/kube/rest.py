"""One request to the API server: a deadline always, and errors in the agent's own tree."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx

from agent.errors import (
    KubeAlreadyExists,
    KubeApplyConflict,
    KubeConflict,
    KubeError,
    KubeForbidden,
    KubeGone,
    KubeInvalid,
    KubeNotFound,
    KubeUnreachable,
)
from agent.json_text import json_text
from agent.kube.access import ClusterAccess

Object = dict[str, Any]
Params = Mapping[str, str | int | bool]

_CONFLICT_OWNER = re.compile(r'conflict with "((?:[^"\\]|\\.)*)"')
_OF_THE_BODY = (
    "failed to create typed patch object",
    "etcdserver: request is too large",
    "trying to send message larger than max",
)
"""What the API server answers with 500 although the request is to blame (kubernetes#122480): a
field that the schema does not have, an item twice in a list with a key, an object that is too
large."""
_THROTTLED_TRIES = 4
_MESSAGE_LIMIT = 1500
_LINE_LIMIT = 32 * 1024 * 1024
"""Bytes of one event of a watch."""


class Rest:
    """Sends requests; many at once over kept connections."""

    def __init__(self, access: ClusterAccess, *, deadline_seconds: float) -> None:
        self._access = access
        self._extensions = {"sni_hostname": access.server_name} if access.server_name else {}
        self._deadline = deadline_seconds
        self._client = httpx.AsyncClient(
            verify=access.tls if access.tls is not None else False,
            proxy=access.proxy,
            trust_env=False,  # the access has read the proxy variables, NO_PROXY included
            timeout=httpx.Timeout(None),  # the deadlines here are asyncio's
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=16),
            follow_redirects=False,
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._client.aclose()

    async def call(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        body: Any = None,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
        deadline_seconds: float | None = None,
    ) -> Object:
        """One call and its JSON answer; waits out 429 answers within the deadline.

        Raises a KubeError that fits the answer, KubeUnreachable when there is none in time.
        """
        content = None if body is None else json_text(body)
        seconds = self._deadline if deadline_seconds is None else deadline_seconds
        try:
            async with asyncio.timeout(seconds):
                for attempt in range(1, _THROTTLED_TRIES + 1):
                    answer = await self._send(
                        method, path, params, content, content_type, headers or {}
                    )
                    if answer.status_code != 429 or attempt == _THROTTLED_TRIES:
                        break
                    await asyncio.sleep(_retry_after(answer, attempt))
        except TimeoutError as error:
            raise KubeUnreachable(
                f"{method} {path}: no answer within {seconds:g} s", reason="Timeout"
            ) from error
        if answer.is_success:
            return _decode(answer)
        raise error_of(answer.status_code, answer.content, f"{method} {path}")

    async def _send(
        self,
        method: str,
        path: str,
        params: Params | None,
        content: bytes | None,
        content_type: str,
        headers: Mapping[str, str],
    ) -> httpx.Response:
        request_headers = {"Accept": "application/json", **await self._access.headers(), **headers}
        if content is not None:
            request_headers["Content-Type"] = content_type
        # A kept connection that the server has just closed fails before it answers; a repeated
        # read or apply does no harm, a repeated create might.
        tries = 2 if method in ("GET", "PATCH") else 1
        for attempt in range(1, tries + 1):
            try:
                return await self._client.request(
                    method,
                    self._access.host + path,
                    params=_query(params),
                    content=content,
                    headers=request_headers,
                    extensions=self._extensions,
                )
            except httpx.HTTPError as error:
                if attempt == tries or not isinstance(
                    error, httpx.RemoteProtocolError | httpx.ReadError | httpx.WriteError
                ):
                    raise KubeUnreachable(
                        f"{method} {path}: {type(error).__name__}: {error}", reason="Unreachable"
                    ) from error
        raise AssertionError("unreachable: the loop returns or raises")

    @asynccontextmanager
    async def stream(
        self, path: str, params: Params, headers: Mapping[str, str]
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open a long GET and give its lines; the caller bounds the time between two of them."""
        request_headers = {"Accept": "application/json", **await self._access.headers(), **headers}
        request = self._client.build_request(
            "GET",
            self._access.host + path,
            params=_query(params),
            headers=request_headers,
            extensions=self._extensions,
        )
        try:
            async with asyncio.timeout(self._deadline):
                answer = await self._client.send(request, stream=True)
        except (httpx.HTTPError, TimeoutError) as error:
            raise KubeUnreachable(f"GET {path}: {error}", reason="Unreachable") from error
        try:
            if not answer.is_success:
                async with asyncio.timeout(self._deadline):
                    content = await answer.aread()
                raise error_of(answer.status_code, content, f"GET {path}")
            yield _lines(answer.aiter_bytes(), path)
        except httpx.HTTPError as error:
            raise KubeUnreachable(f"GET {path}: {error}", reason="Unreachable") from error
        finally:
            await answer.aclose()


async def _lines(chunks: AsyncIterator[bytes], path: str) -> AsyncIterator[bytes]:
    """The lines of a stream, by line feeds alone: JSON text may hold what else ends a line in
    Unicode. Raises KubeUnreachable for a line that no object could need."""
    rest = b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > _LINE_LIMIT:
            raise KubeUnreachable(f"GET {path}: a line without end", reason="NotJson")
        for line in lines:
            yield line
    if rest:
        yield rest


def error_of(status: int, content: bytes, call: str) -> KubeError:
    """The error for an answer whose body is a `metav1.Status`, or is not."""
    try:
        body = json.loads(content)
    except ValueError:
        body = {}
    body = body if isinstance(body, dict) else {}
    reason = str(body.get("reason") or "")
    text = str(body.get("message") or content[:200].decode(errors="replace") or "no message")
    message = f"{text[:_MESSAGE_LIMIT]} ({call}: {status})"
    owners = conflict_owners(body) if status == 409 else ()
    if owners:
        return KubeApplyConflict(message, status=status, reason=reason, owners=owners)
    if status == 409 and reason == "AlreadyExists":
        return KubeAlreadyExists(message, status=status, reason=reason)
    if status == 500 and any(words in text for words in _OF_THE_BODY):
        return KubeInvalid(message, status=status, reason=reason)
    kinds: dict[int, type[KubeError]] = {
        400: KubeInvalid,
        401: KubeForbidden,
        403: KubeForbidden,
        404: KubeNotFound,
        409: KubeConflict,
        410: KubeGone,
        422: KubeInvalid,
    }
    return kinds.get(status, KubeError)(message, status=status, reason=reason)


def conflict_owners(body: Object) -> tuple[tuple[str, str], ...]:
    """(manager, field) of each FieldManagerConflict cause of a `metav1.Status`."""
    found = []
    for cause in (body.get("details") or {}).get("causes") or ():
        if cause.get("reason") == "FieldManagerConflict":
            owner = _CONFLICT_OWNER.search(str(cause.get("message", "")))
            found.append((owner[1] if owner else "unknown", str(cause.get("field", ""))))
    return tuple(found)


def _query(params: Params | None) -> dict[str, str]:
    return {
        key: str(value).lower() if isinstance(value, bool) else str(value)
        for key, value in (params or {}).items()
    }


def _retry_after(answer: httpx.Response, attempt: int) -> float:
    try:
        return max(0.1, float(str(answer.headers.get("Retry-After", ""))))
    except ValueError:
        return 0.25 * 2.0**attempt


def _decode(answer: httpx.Response) -> Object:
    try:
        body = json.loads(answer.content)
    except ValueError as error:
        raise KubeUnreachable(
            f"{answer.request.url.path}: the answer is not JSON", reason="NotJson"
        ) from error
    return body if isinstance(body, dict) else {"value": body}
