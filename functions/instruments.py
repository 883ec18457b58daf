"""What this worker counts: requests and timer runs. Made at the first use."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from shared.telemetry.metrics import Registry

if TYPE_CHECKING:
    from prometheus_client import Counter, Gauge, Histogram


@dataclass(frozen=True, slots=True)
class Instruments:
    """The instruments, and the registry that renders them."""

    registry: Registry
    requests: Counter
    request_seconds: Histogram
    timer_runs: Counter
    timer_seconds: Histogram
    timer_last_success: Gauge


@cache
def instruments() -> Instruments:
    """This worker's instruments."""
    registry = Registry()
    return Instruments(
        registry=registry,
        requests=registry.counter(
            "arcbridge_http_requests_total",
            "HTTP requests by Function and status",
            ("function", "status"),
        ),
        request_seconds=registry.histogram(
            "arcbridge_http_request_duration_seconds",
            "Time from a request's start to its answer",
            ("function",),
        ),
        timer_runs=registry.counter(
            "arcbridge_timer_runs_total", "Runs of a timer by outcome", ("timer", "outcome")
        ),
        timer_seconds=registry.histogram(
            "arcbridge_timer_run_duration_seconds", "Length of a timer's run", ("timer",)
        ),
        timer_last_success=registry.gauge(
            "arcbridge_timer_last_success_timestamp_seconds",
            "When a timer last succeeded, as a Unix time",
            ("timer",),
        ),
    )
