from __future__ import annotations

import asyncio
import socket

import pytest

from dev.host.throttle import Throttle
from dev.serving import PortTakenError, bound_socket


async def test_as_many_run_as_may_and_the_others_wait_for_their_place() -> None:
    throttle = Throttle(running=2, outstanding=3)
    seen: list[str] = []
    release = asyncio.Event()

    async def request(name: str) -> None:
        async with throttle.place() as admitted:
            seen.append(f"{name} {'runs' if admitted else 'is too many'}")
            if admitted:
                await release.wait()

    tasks = [asyncio.create_task(request(name)) for name in "abcd"]
    await asyncio.wait([tasks[3]])
    assert sorted(seen) == ["a runs", "b runs", "d is too many"]
    release.set()
    await asyncio.gather(*tasks)
    assert seen[-1] == "c runs"
    async with throttle.place() as admitted:
        assert admitted


async def test_without_bounds_every_request_runs() -> None:
    throttle = Throttle(running=None, outstanding=None)
    async with throttle.place() as one, throttle.place() as other:
        assert one
        assert other


def test_hosts_share_a_port_only_if_all_of_them_say_so() -> None:
    with bound_socket(0, "PORT", shared=True) as first:
        port: int = first.getsockname()[1]
        with bound_socket(port, "PORT", shared=True) as second:
            assert second.getsockname() == first.getsockname()
        with pytest.raises(PortTakenError):
            bound_socket(port, "PORT")
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            pass
