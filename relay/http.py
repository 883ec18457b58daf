"""Health and metrics over plain HTTP, for probes and Prometheus inside the network.

As little of HTTP/1.1 as they need: GET, no body, the connection closed after the answer. It knows
no identities and shows none.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus

REQUEST_SECONDS = 5.0
REQUEST_BYTES = 8 * 1024
TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back."""

    status: HTTPStatus
    body: bytes
    content_type: str = TEXT


Route = Callable[[], Awaitable[Answer]]


def yes_or_no(good: bool) -> Answer:
    """The answer of a probe."""
    if good:
        return Answer(HTTPStatus.OK, b"ok\n")
    return Answer(HTTPStatus.SERVICE_UNAVAILABLE, b"not ready\n")


@asynccontextmanager
async def http_server(address: str, port: int, routes: dict[str, Route]) -> AsyncIterator[int]:
    """Serve the routes (path -> answer) for the length of the block; gives the port."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                answer = await _answer(await reader.readuntil(b"\r\n\r\n"), routes)
                writer.write(_encoded(answer))
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # whoever it was has gone, or is no HTTP client
        finally:
            writer.close()

    server = await asyncio.start_server(handle, address, port, limit=REQUEST_BYTES)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def _answer(request: bytes, routes: dict[str, Route]) -> Answer:
    words = request.split(b"\r\n", 1)[0].split(b" ")
    if len(words) != len(("method", "target", "version")):
        return Answer(HTTPStatus.BAD_REQUEST, b"bad request\n")
    route = routes.get(words[1].split(b"?", 1)[0].decode("latin-1"))
    if route is None:
        return Answer(HTTPStatus.NOT_FOUND, b"not found\n")
    if words[0] != b"GET":
        return Answer(HTTPStatus.METHOD_NOT_ALLOWED, b"only GET\n")
    return await route()


def _encoded(answer: Answer) -> bytes:
    head = (
        f"HTTP/1.1 {answer.status.value} {answer.status.phrase}\r\n"
        f"Content-Type: {answer.content_type}\r\n"
        f"Content-Length: {len(answer.body)}\r\n"
        "Cache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    return head.encode("latin-1") + answer.body
