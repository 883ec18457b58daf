"""Health and metrics over HTTP: `/livez`, `/readyz`, `/metrics`. GET only, for the kubelet and
Prometheus; nothing here changes anything or shows a secret."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus

from agent.metrics import AgentMetrics

REQUEST_SECONDS = 5.0
CONNECTIONS_MAX = 32
_LINE_BYTES_MAX = 4096
_HEADERS_MAX = 64
_TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True)
class HealthServer:
    """Answers probes. Each connection serves one request."""

    alive: Callable[[], bool]
    ready: Callable[[], bool]
    metrics: AgentMetrics

    @asynccontextmanager
    async def listen(self, host: str, port: int) -> AsyncIterator[int]:
        """Serve for the length of the block; gives the port."""
        limit = asyncio.Semaphore(CONNECTIONS_MAX)

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                async with asyncio.timeout(REQUEST_SECONDS), limit:
                    writer.write(self._respond(await _request_line(reader)))
                    await writer.drain()
            except (TimeoutError, ConnectionError, ValueError):
                pass  # a client that is too slow, or gone, or sends no HTTP
            finally:
                writer.close()

        server = await asyncio.start_server(serve, host, port, limit=_LINE_BYTES_MAX)
        async with server:
            yield server.sockets[0].getsockname()[1]

    def _respond(self, line: bytes) -> bytes:
        method, _, rest = line.partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0]
        if method not in (b"GET", b"HEAD"):
            return _response(HTTPStatus.METHOD_NOT_ALLOWED, b"GET only\n")
        match path:
            case b"/livez":
                return _verdict(self.alive())
            case b"/readyz":
                return _verdict(self.ready())
            case b"/metrics":
                body, content_type = self.metrics.registry.render()
                return _response(HTTPStatus.OK, body, content_type)
            case _:
                return _response(HTTPStatus.NOT_FOUND, b"not found\n")


async def _request_line(reader: asyncio.StreamReader) -> bytes:
    line = await reader.readline()
    for _ in range(_HEADERS_MAX):
        if await reader.readline() in (b"\r\n", b"\n", b""):
            return line
    raise ValueError("too many headers")


def _verdict(good: bool) -> bytes:
    if good:
        return _response(HTTPStatus.OK, b"ok\n")
    return _response(HTTPStatus.SERVICE_UNAVAILABLE, b"not ok\n")


def _response(status: HTTPStatus, body: bytes, content_type: str = _TEXT) -> bytes:
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
