from __future__ import annotations

import asyncio

from agent.health import HealthServer
from agent.metrics import AgentMetrics


async def ask(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    async with asyncio.timeout(10):
        answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


async def test_probes_tell_the_truth() -> None:
    alive = True
    server = HealthServer(lambda: alive, lambda: False, AgentMetrics())
    async with server.listen("127.0.0.1", 0) as port:
        assert b"200 OK" in await ask(port, get("/livez"))
        assert b"503" in await ask(port, get("/readyz"))
        alive = False
        assert b"503" in await ask(port, get("/livez"))


async def test_metrics_are_prometheus_text() -> None:
    metrics = AgentMetrics()
    metrics.heartbeats.inc(3)
    async with HealthServer(lambda: True, lambda: True, metrics).listen("127.0.0.1", 0) as port:
        answer = await ask(port, get("/metrics?name=x"))
    assert b"arcbridge_agent_heartbeats_total 3.0" in answer
    assert b"text/plain" in answer


async def test_nothing_can_be_changed_and_nonsense_is_dropped() -> None:
    server = HealthServer(lambda: True, lambda: True, AgentMetrics())
    async with server.listen("127.0.0.1", 0) as port:
        assert b"405" in await ask(port, b"POST /livez HTTP/1.1\r\n\r\n")
        assert b"404" in await ask(port, get("/secrets"))
        assert await ask(port, b"x" * 100_000 + b"\r\n\r\n") == b""
        assert b"200" in await ask(port, get("/livez"))
