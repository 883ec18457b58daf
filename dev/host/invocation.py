"""Calls functions the way the host does: with a context, a deadline, and every failure logged."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from azure.functions import HttpRequest, HttpResponse
from azure.functions.timer import TimerRequest

from dev.host.functions import Context, LoadedFunction, TraceContext
from shared.telemetry.logs import get_logger
from shared.telemetry.tracing import is_traceparent

log = get_logger(__name__)


def new_traceparent() -> str:
    """A new sampled trace's `traceparent`."""
    # Neither id may be all zeros, which happens once in 2^64 calls: the last bit is set.
    return f"00-{secrets.token_hex(15)}01-{secrets.token_hex(7)}01-01"


@dataclass(frozen=True)
class Invoker:
    """Calls functions of the app in `directory`."""

    directory: str

    def context(
        self, function: LoadedFunction, traceparent: str | None = None, tracestate: str = ""
    ) -> Context:
        """A context in the caller's trace, or in a new one."""
        parent = traceparent if traceparent and is_traceparent(traceparent) else new_traceparent()
        return Context(function.name, TraceContext(parent, tracestate), self.directory)

    async def invoke_http(
        self, function: LoadedFunction, request: HttpRequest, context: Context
    ) -> HttpResponse:
        """The function's answer: a string is a 200, nothing is a 204, an exception is a 500."""
        try:
            result = await function.invoke(request, context)
        except Exception:
            # The edge of the app: Microsoft's host answers 500 to whatever a function raises.
            log.exception("function failed", function=function.name)
            return HttpResponse(status_code=500)
        if result is None:
            return HttpResponse(status_code=204)
        if isinstance(result, str):
            return HttpResponse(result)
        if isinstance(result, HttpResponse):
            return result
        log.error(
            "function returned no response", function=function.name, type=type(result).__name__
        )
        return HttpResponse(status_code=500)

    async def invoke_timer(self, function: LoadedFunction, request: TimerRequest) -> None:
        """Run a timer function once."""
        try:
            await function.invoke(request, self.context(function))
        except Exception:
            # The edge of the app, as above: the timer fires again at its next time.
            log.exception("timer failed", function=function.name)
