"""Against a real server: grpc.aio's own behaviour is what is guarded against."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from shared.rpc.verdict import Verdict

STREAMS = 300
PATH = "/test/Refuse"


async def refuse(
    _: AsyncIterator[bytes], context: grpc.aio.ServicerContext
) -> AsyncIterator[bytes]:
    await context.abort(grpc.StatusCode.PERMISSION_DENIED, "revoked", (("why", "because"),))
    yield b""


class Refusing(grpc.GenericRpcHandler):
    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        return grpc.stream_stream_rpc_method_handler(refuse)


@pytest.fixture
async def channel() -> AsyncIterator[grpc.aio.Channel]:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Refusing(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel
    await server.stop(None)


async def outcome(call: Any) -> Exception:
    """Of one stream that writes and reads although the server refuses it."""
    verdict = Verdict(call)
    try:
        for _ in range(5):
            await call.write(b"x" * 1000)
        await call.read()
    except (grpc.aio.AioRpcError, asyncio.InvalidStateError) as error:
        return await verdict.of(error, seconds=10)
    raise AssertionError("the server refuses every stream")


async def test_whatever_fails_first_the_servers_own_status_is_heard(
    channel: grpc.aio.Channel,
) -> None:
    method = channel.stream_stream(PATH)
    for _ in range(STREAMS // 20):
        for error in await asyncio.gather(*(outcome(method()) for _ in range(20))):
            assert isinstance(error, grpc.aio.AioRpcError)
            assert (error.code(), error.details()) == (grpc.StatusCode.PERMISSION_DENIED, "revoked")
            assert ("why", "because") in tuple(error.trailing_metadata())


async def test_another_error_is_left_as_it_is(channel: grpc.aio.Channel) -> None:
    call = channel.stream_stream(PATH)()
    verdict = Verdict(call)
    error = ConnectionError("elsewhere")
    assert await verdict.of(error, seconds=10) is error
    call.cancel()


async def test_a_write_after_the_end_hears_the_status_too(channel: grpc.aio.Channel) -> None:
    call = channel.stream_stream(PATH)()
    verdict = Verdict(call)
    await call.code()
    with pytest.raises(asyncio.InvalidStateError) as caught:
        await call.write(b"x")
    said = await verdict.of(caught.value, seconds=10)
    assert isinstance(said, grpc.aio.AioRpcError)
    assert said.code() is grpc.StatusCode.PERMISSION_DENIED
