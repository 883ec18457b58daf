from __future__ import annotations

import asyncio
import socket

from dev.kube.server import listening_socket
from dev.serving import bound_socket


async def no_delay_of_a_connection_to(listener: socket.socket) -> int:
    """Whether the server's side of a connection sends small parts at once."""
    accepted: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def connected(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = writer.get_extra_info("socket")
        accepted.set_result(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    async with asyncio.timeout(10), await asyncio.start_server(connected, sock=listener):
        _, writer = await asyncio.open_connection(*listener.getsockname())
        found = await accepted
        writer.close()
        await writer.wait_closed()
    return found


async def test_the_body_of_an_answer_does_not_wait_for_its_heads_acknowledgement() -> None:
    assert await no_delay_of_a_connection_to(bound_socket(0, "PORT"))


async def test_nor_does_it_in_the_simulated_api_server() -> None:
    assert await no_delay_of_a_connection_to(listening_socket(0))
