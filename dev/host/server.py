"""The HTTP side: requests to functions, and the admin path."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from pathlib import Path

from azure.functions import HttpRequest, HttpResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route as StarletteRoute

from dev.host.config import HostConfig, Keys
from dev.host.functions import HttpFunction, TimerFunction
from dev.host.invocation import Invoker
from dev.host.throttle import Throttle
from dev.host.timers import TimerRunner
from shared.telemetry.logs import get_logger

log = get_logger(__name__)

ALL_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]
STOP_SECONDS = 10.0


class Host:
    """Serves a function app's functions."""

    def __init__(
        self,
        http: Sequence[HttpFunction],
        timers: Sequence[TimerFunction],
        *,
        config: HostConfig,
        keys: Keys,
        body_bytes: int,
        directory: Path,
        status_directory: Path,
        clock: Callable[[], datetime],
    ) -> None:
        self._http = http
        self._config = config
        self._keys = keys
        self._body_bytes = body_bytes
        self._invoker = Invoker(str(directory))
        self._throttle = Throttle(config.running_at_once, config.outstanding)
        self._timers = {
            each.function.name: TimerRunner(each, self._invoker, status_directory, clock)
            for each in timers
        }
        self._by_hand: set[asyncio.Task[None]] = set()

    def application(self) -> Starlette:
        """The ASGI application; timers run for as long as it does."""
        return Starlette(
            routes=[
                StarletteRoute("/admin/functions/{name}", self.run_by_hand, methods=["POST"]),
                StarletteRoute("/{path:path}", self.serve, methods=ALL_METHODS),
            ],
            lifespan=self.lifespan,
        )

    @asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        """Run the timers; on the way out, let runs under way end, for 10 s at most."""
        loops = [asyncio.create_task(runner.run()) for runner in self._timers.values()]
        for loop in loops:
            loop.add_done_callback(report_end)
        try:
            yield
        finally:
            await self._drain(loops)

    async def _drain(self, loops: list[asyncio.Task[None]]) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                for runner in self._timers.values():
                    await runner.stop()
                await asyncio.gather(*self._by_hand)
        for task in [*loops, *self._by_hand]:
            task.cancel()
        await asyncio.gather(*loops, *self._by_hand, return_exceptions=True)

    async def serve(self, request: Request) -> Response:
        """Answer with the first function whose route, constraints and method match, or 404."""
        raw_path: bytes = request.scope["raw_path"]
        path = self._below_prefix(raw_path.decode("ascii", errors="replace"))
        if path is None:
            return Response(status_code=404)
        for each in self._http:
            values = each.route.match(path)
            if values is None or (each.methods and request.method not in each.methods):
                continue
            if not self._is_allowed(request, each.auth_level):
                return Response(status_code=401)
            async with self._throttle.place() as admitted:
                return await self._call(each, values, request) if admitted else too_busy()
        return Response(status_code=404)

    async def _call(
        self, each: HttpFunction, values: Mapping[str, str], request: Request
    ) -> Response:
        body = await self._read_body(request)
        if body is None:
            return Response(status_code=413)
        traceparent = request.headers.get("traceparent")
        context = self._invoker.context(
            each.function, traceparent, request.headers.get("tracestate", "")
        )
        function_request = HttpRequest(
            method=request.method,
            url=str(request.url),
            headers=with_peer(joined(request.headers.items()), request),
            params=joined(request.query_params.multi_items()),
            route_params=values,
            body=body,
        )
        answer = await self._invoker.invoke_http(each.function, function_request, context)
        return as_starlette(answer)

    async def run_by_hand(self, request: Request) -> Response:
        """`POST /admin/functions/NAME`: start a timer's run and answer 202 at once."""
        if not self._is_allowed(request, "admin"):
            return Response(status_code=401)
        runner = self._timers.get(request.path_params["name"])
        if runner is None:
            return JSONResponse({"message": "no timer function of this name"}, status_code=404)
        task = asyncio.create_task(runner.fire(past_due=False))
        self._by_hand.add(task)
        task.add_done_callback(self._by_hand.discard)
        return Response(status_code=202)

    def _below_prefix(self, raw_path: str) -> str | None:
        prefix = f"/{self._config.route_prefix}".rstrip("/")
        path = raw_path.rstrip("/") + "/"
        if not path.lower().startswith(f"{prefix}/".lower()):
            return None
        return path[len(prefix) :]

    def _is_allowed(self, request: Request, level: str) -> bool:
        if level == "anonymous":
            return True
        given = request.headers.get("x-functions-key") or request.query_params.get("code") or ""
        good = [self._keys.master] if level == "admin" else [self._keys.master, self._keys.function]
        return any(hmac.compare_digest(given.encode(), key.encode()) for key in good)

    async def _read_body(self, request: Request) -> bytes | None:
        """The whole body, or None when it is larger than the host allows."""
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > self._body_bytes:
                return None
        return bytes(body)


def too_busy() -> Response:
    """What Microsoft's host says to one request too many."""
    return Response("Too Busy", status_code=429)


def with_peer(headers: dict[str, str], request: Request) -> dict[str, str]:
    """Azure's front end appends the caller's address and port to X-Forwarded-For."""
    if request.client is None:
        return headers
    peer = f"{request.client.host}:{request.client.port}"
    before = headers.get("x-forwarded-for")
    return headers | {"x-forwarded-for": f"{before}, {peer}" if before else peer}


def report_end(loop: asyncio.Task[None]) -> None:
    """A timer that ended by itself would be missed in silence."""
    if not loop.cancelled() and (error := loop.exception()) is not None:
        log.error("timer ended", error=repr(error))


def joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Repeated keys joined by commas, as the host hands them to its workers."""
    found: dict[str, list[str]] = {}
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return {key: ",".join(parts) for key, parts in found.items()}


def as_starlette(answer: HttpResponse) -> Response:
    """The function's answer as it goes over the wire."""
    response = Response(answer.get_body(), status_code=answer.status_code)
    for name, value in answer.headers.items():
        if name.lower() == "set-cookie":
            response.headers.append(name, value)
        else:
            response.headers[name] = value
    if "content-type" not in response.headers:
        text = answer.mimetype.startswith("text/")
        response.headers["content-type"] = (
            f"{answer.mimetype}; charset={answer.charset}" if text else answer.mimetype
        )
    return response
