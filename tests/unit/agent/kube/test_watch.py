"""Watches on a server that misbehaves: nothing is missed, and nobody is hammered."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from agent.kube.access import ClusterAccess
from agent.kube.rest import Rest
from agent.kube.watch import Changed, Listed, watch_forever

Answer = Callable[[asyncio.StreamWriter], None]


def event(version: str, **data: str) -> bytes:
    obj = {"metadata": {"name": "one", "resourceVersion": version}, "data": data}
    text = json.dumps({"type": "MODIFIED", "object": obj}, ensure_ascii=False)
    return text.encode() + b"\n"


def lines(*parts: bytes, status: str = "200 OK") -> Answer:
    """Answers a watch with these bytes, chunk by chunk, and ends it."""

    def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 {status}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        for part in parts:
            writer.write(b"%x\r\n%s\r\n" % (len(part), part))
        writer.write(b"0\r\n\r\n")

    return answer


@dataclass
class Server:
    """An API server with one list, which answers each watch as it is told."""

    answers: list[Answer]
    lists: int = 0
    pauses: list[float] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                self.asked.append(head.split()[1])
                if self.answers:
                    self.answers.pop(0)(writer)
                    await writer.drain()

    async def list_all(self) -> tuple[tuple[dict[str, Any], ...], str]:
        self.lists += 1
        return (), str(self.lists)

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await asyncio.sleep(0)


@asynccontextmanager
async def watching(server: Server) -> AsyncIterator[AsyncIterator[Listed | Changed]]:
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    rest = Rest(ClusterAccess(f"http://127.0.0.1:{port}", None), deadline_seconds=10)
    items = watch_forever(rest, "/things", {}, {}, server.list_all, server.pause)
    try:
        yield items
    finally:
        await items.aclose()  # type: ignore[attr-defined] # an async generator
        await rest.close()
        listening.close()
        for writer in server.writers:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


async def changes(items: AsyncIterator[Listed | Changed], count: int) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    async with asyncio.timeout(10):
        async for item in items:
            found += [item.object["data"]] if isinstance(item, Changed) else []
            if len(found) == count:
                break
    return found


async def test_characters_that_end_a_line_elsewhere_are_text() -> None:
    odd = "a\u0085b\u2028c\u2029d\x1ce"
    whole = event("7", a=odd)
    server = Server([lines(whole[:40], whole[40:] + event("8", b=odd))])
    async with watching(server) as items:
        assert await changes(items, 2) == [{"a": odd}, {"b": odd}]
    assert server.lists == 1


@pytest.mark.parametrize(
    "cut", [event("7", a="1")[:-9], b"[]\n", b'{"type": "ADDED"}\n', b"\xff\n"]
)
async def test_an_event_that_is_cut_off_is_a_reason_to_list_again(cut: bytes) -> None:
    server = Server([lines(cut), lines(event("8", a="2"))])
    async with watching(server) as items:
        assert await changes(items, 1) == [{"a": "2"}]
    assert server.lists == 2


@pytest.mark.parametrize(
    "answer",
    [
        lines(),
        lines(b"{}", status="500 Internal Server Error"),
        lines(b'{"type": "ERROR", "object": {"code": 410, "message": "too old"}}\n'),
    ],
    ids=["ends at once", "refused", "too old"],
)
async def test_a_server_whose_watches_fail_is_asked_less_and_less(answer: Answer) -> None:
    server = Server([answer] * 8 + [lines(event("9", a="1"))])
    async with watching(server) as items:
        assert await changes(items, 1) == [{"a": "1"}]
    assert server.lists == len(server.pauses) + 1 == 9
    assert server.pauses[0] <= 1.0
    assert all(15.0 <= seconds <= 30.0 for seconds in server.pauses[5:])


async def test_a_watch_that_ends_in_its_time_goes_on_from_where_it_was() -> None:
    server = Server([lines(event("7", a="1")), lines(event("8", a="2"))])
    async with watching(server) as items:
        assert await changes(items, 2) == [{"a": "1"}, {"a": "2"}]
    assert (server.lists, server.pauses) == (1, [])
    assert "resourceVersion=7" in server.asked[1]
