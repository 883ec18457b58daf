"""The local host reads what was registered, and refuses what it could not serve."""

from __future__ import annotations

from datetime import timedelta

import azure.functions as func
import pytest

from dev.host.config import HostError, resolve_settings, time_span
from dev.host.functions import load

TIMEOUT = timedelta(minutes=5)


def app() -> func.FunctionApp:
    return func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)


def test_routes_methods_and_schedules_are_read_and_sorted_by_precedence() -> None:
    sample = app()

    @sample.route(route="items/{name}", methods=["GET"])
    async def one(req: func.HttpRequest) -> str:
        return ""

    @sample.route(route="%ROUTE%")
    async def known(req: func.HttpRequest, context: func.Context) -> str:
        return ""

    @sample.timer_trigger(arg_name="timer", schedule="%SCHEDULE%", use_monitor=False)
    async def tick(timer: func.TimerRequest) -> None:
        """Do nothing."""

    settings = {"ROUTE": "items/known", "SCHEDULE": "0 * * * * *"}
    http, timers = load(sample, settings, TIMEOUT)
    assert [each.route.template for each in http] == ["items/known", "items/{name}"]
    assert [each.methods for each in http] == [frozenset(), frozenset({"GET"})]
    assert [each.function.wants_context for each in http] == [True, False]
    assert (timers[0].schedule, timers[0].use_monitor) == ("0 * * * * *", False)


def test_another_binding_is_refused() -> None:
    sample = app()

    @sample.route(route="x")
    @sample.queue_output(arg_name="queue", queue_name="q", connection="c")
    async def f(req: func.HttpRequest, queue: func.Out[str]) -> str:
        return ""

    with pytest.raises(HostError, match="no binding queue"):
        load(sample, {}, TIMEOUT)


def test_a_parameter_that_nothing_fills_is_refused() -> None:
    sample = app()

    @sample.route(route="x")
    async def f(req: func.HttpRequest, database: str) -> str:
        return ""

    with pytest.raises(HostError, match="it takes req, database"):
        load(sample, {}, TIMEOUT)


def test_a_route_that_cannot_be_served_names_its_function() -> None:
    sample = app()

    @sample.route(route="x/{when:datetime}")
    async def by_time(req: func.HttpRequest) -> str:
        return ""

    with pytest.raises(HostError, match=r"function by_time: .*datetime"):
        load(sample, {}, TIMEOUT)


def test_a_setting_that_is_not_set_is_named() -> None:
    assert resolve_settings("a%X%b", {"X": "1"}) == "a1b"
    with pytest.raises(HostError, match="set the app setting Y"):
        resolve_settings("%Y%", {"X": "1"})


@pytest.mark.parametrize(
    ("text", "seconds"), [("00:05:00", 300), ("1.00:00:00", 86_400), ("00:00:01", 1)]
)
def test_time_spans_are_read_as_dotnet_writes_them(text: str, seconds: int) -> None:
    assert time_span(text).total_seconds() == seconds


def test_what_is_no_time_span_is_refused() -> None:
    with pytest.raises(HostError, match="00:05:00"):
        time_span("5m")
