"""The app's functions as this host serves them, read from what the decorators registered."""

from __future__ import annotations

import asyncio
import inspect
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import azure.functions as func

from dev.host.config import HostError, resolve_settings
from dev.host.routes import Route, RouteError, compile_route

HTTP_TRIGGER = "httpTrigger"
HTTP_OUTPUT = "http"
TIMER_TRIGGER = "timerTrigger"
CONTEXT_ARGUMENT = "context"


class TraceContext(func._abc.TraceContext):
    """The trace context of one invocation, with the worker's names for it too."""

    def __init__(self, trace_parent: str, trace_state: str) -> None:
        self._parent, self._state = trace_parent, trace_state

    @property
    def trace_parent(self) -> str:
        return self._parent

    @property
    def trace_state(self) -> str:
        return self._state

    @property
    def attributes(self) -> dict[str, str]:
        return {}

    Traceparent = trace_parent
    Tracestate = trace_state
    Attributes = attributes


class Context(func.Context):
    """What a function gets for its `context` parameter."""

    def __init__(self, function_name: str, trace: TraceContext, directory: str) -> None:
        self._function_name, self._trace, self._directory = function_name, trace, directory
        self._invocation_id = str(uuid.uuid4())
        self._local = threading.local()

    @property
    def invocation_id(self) -> str:
        return self._invocation_id

    @property
    def thread_local_storage(self) -> Any:
        return self._local

    @property
    def function_name(self) -> str:
        return self._function_name

    @property
    def function_directory(self) -> str:
        return self._directory

    @property
    def trace_context(self) -> TraceContext:
        return self._trace

    @property
    def retry_context(self) -> Any:
        return None  # no retry policies here, and none is what the worker gives without one


@dataclass(frozen=True)
class LoadedFunction:
    """One function: how to call it."""

    name: str
    call: Callable[..., Any]
    argument: str
    """Name of the parameter that takes the trigger."""
    wants_context: bool
    timeout: timedelta

    async def invoke(self, trigger: object, context: Context) -> object:
        """Call it; a synchronous one in a thread. Raises TimeoutError after `timeout`."""
        arguments: dict[str, object] = {self.argument: trigger}
        if self.wants_context:
            arguments[CONTEXT_ARGUMENT] = context
        async with asyncio.timeout(self.timeout.total_seconds()):
            if inspect.iscoroutinefunction(self.call):
                return await self.call(**arguments)
            return await asyncio.to_thread(self.call, **arguments)


@dataclass(frozen=True)
class HttpFunction:
    """A function behind a route."""

    function: LoadedFunction
    route: Route
    methods: frozenset[str]
    """Upper case; empty for all."""
    auth_level: str


@dataclass(frozen=True)
class TimerFunction:
    """A function on a schedule."""

    function: LoadedFunction
    schedule: str
    run_on_startup: bool
    use_monitor: bool


def load(
    app: func.FunctionApp, settings: Mapping[str, str], timeout: timedelta
) -> tuple[list[HttpFunction], list[TimerFunction]]:
    """Read the registered functions; raises HostError for what cannot be served."""
    http: list[HttpFunction] = []
    timers: list[TimerFunction] = []
    for registered in app.get_functions():
        name = registered.get_function_name() or ""
        trigger = registered.get_trigger()
        if trigger is None:
            raise HostError(f"function {name} has no trigger")
        _refuse_other_bindings(name, registered)
        loaded = _loaded(name, registered.get_user_function(), trigger.name, timeout)
        binding = trigger.get_dict_repr()
        if binding["type"] == HTTP_TRIGGER:
            http.append(_http_function(loaded, binding, settings))
        else:
            timers.append(_timer_function(loaded, binding, settings))
    return sorted(http, key=lambda each: each.route.precedence), timers


def _refuse_other_bindings(name: str, registered: func.Function) -> None:
    for binding in registered.get_bindings():
        kind = binding.get_dict_repr()["type"]
        if kind not in {HTTP_TRIGGER, HTTP_OUTPUT, TIMER_TRIGGER}:
            raise HostError(f"function {name}: this host has no binding {kind}")


def _loaded(
    name: str, call: Callable[..., Any], argument: str, timeout: timedelta
) -> LoadedFunction:
    parameters = inspect.signature(call).parameters
    unknown = set(parameters) - {argument, CONTEXT_ARGUMENT}
    if argument not in parameters or unknown:
        raise HostError(
            f"function {name} must take {argument}, and may take {CONTEXT_ARGUMENT};"
            f" it takes {', '.join(parameters) or 'nothing'}"
        )
    return LoadedFunction(name, call, argument, CONTEXT_ARGUMENT in parameters, timeout)


def _http_function(
    loaded: LoadedFunction, binding: Mapping[str, Any], settings: Mapping[str, str]
) -> HttpFunction:
    template = resolve_settings(binding.get("route") or loaded.name, settings)
    try:
        route = compile_route(template)
    except RouteError as error:
        raise HostError(f"function {loaded.name}: {error}") from error
    methods = frozenset(str(method).upper() for method in binding.get("methods") or ())
    return HttpFunction(loaded, route, methods, str(binding["authLevel"]).lower())


def _timer_function(
    loaded: LoadedFunction, binding: Mapping[str, Any], settings: Mapping[str, str]
) -> TimerFunction:
    use_monitor = binding.get("useMonitor")
    return TimerFunction(
        function=loaded,
        schedule=resolve_settings(binding["schedule"], settings),
        run_on_startup=bool(binding.get("runOnStartup")),
        use_monitor=True if use_monitor is None else bool(use_monitor),
    )
