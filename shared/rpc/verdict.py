"""The status a peer ended a stream with, kept from what a failed write makes of it.

grpc.aio sets INTERNAL, "Internal error from Core", on a call whose write fails, also when it fails
because the peer has just ended the call. That hides the peer's own status and trailing metadata: of
streams that a server refuses at once, one in twenty. A call's first other status is the peer's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import grpc

LOCAL_DETAIL = "Internal error from Core"
"""What grpc.aio says where a write failed and Core gives no reason."""
_Value = TypeVar("_Value")


class Verdict:
    """What the peer said of one streaming call at its end; made before the first write."""

    def __init__(self, call: Any) -> None:
        self._told: asyncio.Future[grpc.aio.AioRpcError] = (
            asyncio.get_running_loop().create_future()
        )
        call.add_done_callback(self._note)

    async def of(self, error: Exception, *, seconds: float) -> Exception:
        """The peer's status in place of a local one; `error` itself where it says more.

        `error` is what a read or a write raised. Where the peer's status is not there yet, it is
        waited for up to `seconds`.
        """
        if not _is_local(error):
            return error
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.shield(self._told)
        except TimeoutError:
            return error

    def _note(self, call: Any) -> None:
        code, details = _now(call.code()), _now(call.details())
        if self._told.done() or details == LOCAL_DETAIL:
            return
        self._told.set_result(
            grpc.aio.AioRpcError(
                code,
                _now(call.initial_metadata()),
                _now(call.trailing_metadata()),
                details=details,
            )
        )


def _is_local(error: Exception) -> bool:
    if isinstance(error, grpc.aio.AioRpcError):
        return error.code() is grpc.StatusCode.INTERNAL and error.details() == LOCAL_DETAIL
    return isinstance(error, asyncio.InvalidStateError)


def _now(coroutine: Coroutine[Any, Any, _Value]) -> _Value:
    """The result of a coroutine that has nothing to wait for, as all of a call's are at its end."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        value: _Value = done.value
        return value
    coroutine.close()
    raise RuntimeError("the call has not ended")
