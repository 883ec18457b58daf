"""Traces: OpenTelemetry spans, carried between the parts as W3C `traceparent`.

One trace goes from the publish request through the outbox, the relay and the agents to the status
report that made the last target ready. Who hands work on stores or sends `traceparent()`; who
takes it up opens `span(..., parent=...)` with it. Without an exporter no SDK is loaded and a span
only passes its parent on. Heartbeats are never traced: there are too many, and each says the same.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.trace import Span
    from opentelemetry.util.types import AttributeValue

AZURE_MONITOR = "APPLICATIONINSIGHTS_CONNECTION_STRING"
OTLP_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
TRACE_FILE = "ARCBRIDGE_TRACE_FILE"
TRACER = "arcbridge"
_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}.*"
)
_UNUSED_INSTRUMENTATIONS = (
    "azure_sdk", "django", "fastapi", "flask", "psycopg2", "requests", "urllib", "urllib3",
)  # fmt: skip


class Kind(StrEnum):
    """What a span stands for (OpenTelemetry's SpanKind)."""

    INTERNAL = "INTERNAL"
    SERVER = "SERVER"
    CLIENT = "CLIENT"
    PRODUCER = "PRODUCER"
    CONSUMER = "CONSUMER"


@contextmanager
def span(
    name: str,
    *,
    parent: str | None = None,
    links: Sequence[str] = (),
    kind: Kind = Kind.INTERNAL,
    attributes: Mapping[str, AttributeValue] | None = None,
) -> Iterator[Span]:
    """A span for the length of the block; an exception that leaves the block is recorded on it.

    `parent` and `links` are traceparents. A malformed one counts as absent (W3C Trace Context 4.3);
    with no parent the current span is the parent.
    """
    from opentelemetry import trace

    with trace.get_tracer(TRACER).start_as_current_span(
        name,
        context=_context(parent) if parent else None,
        kind=trace.SpanKind[kind],
        links=[
            trace.Link(trace.get_current_span(_context(link)).get_span_context()) for link in links
        ],
        attributes=attributes,
    ) as current:
        yield current


def traceparent() -> str | None:
    """The current span's `traceparent`, to hand on; None outside of any trace."""
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier.get("traceparent")


def trace_id() -> str | None:
    """The current trace's id, 32 hexadecimal digits; None outside of any trace."""
    current = traceparent()
    return current.split("-")[1] if current else None


def is_traceparent(text: str | None) -> bool:
    """Whether `text` is a valid `traceparent` of any version."""
    return text is not None and _TRACEPARENT.fullmatch(text) is not None


def _context(parent: str) -> Context:
    from opentelemetry.context import Context as EmptyContext
    from opentelemetry.context import get_current
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    if not is_traceparent(parent):
        return get_current()
    return TraceContextTextMapPropagator().extract({"traceparent": parent}, EmptyContext())


def configure_tracing(
    service: str, *, instance: str | None = None, environ: Mapping[str, str] = os.environ
) -> Callable[[], None]:
    """Set up the exporters that the environment asks for; returns what flushes and ends them.

    Azure Monitor for APPLICATIONINSIGHTS_CONNECTION_STRING, OTLP over HTTP for
    OTEL_EXPORTER_OTLP_ENDPOINT, JSON lines in a file for ARCBRIDGE_TRACE_FILE; any of them
    together. To be called once per process: OpenTelemetry takes one provider.
    """
    if not any(environ.get(name) for name in (AZURE_MONITOR, OTLP_ENDPOINT, TRACE_FILE)):
        return _nothing_to_flush
    from opentelemetry import trace
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider

    attributes = {"service.name": service}
    if instance:
        attributes["service.instance.id"] = instance
    resource = Resource.create(attributes)
    processors = _processors(environ)
    connection_string = environ.get(AZURE_MONITOR)
    if connection_string:
        _configure_azure_monitor(connection_string, resource, processors)
        provider = trace.get_tracer_provider()
        if not isinstance(provider, TracerProvider):
            raise RuntimeError("Azure Monitor installed no tracer provider")
        return provider.shutdown
    own = TracerProvider(resource=resource)
    for processor in processors:
        own.add_span_processor(processor)
    trace.set_tracer_provider(own)
    return own.shutdown


def _processors(environ: Mapping[str, str]) -> list[SpanProcessor]:
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

    processors: list[SpanProcessor] = []
    if environ.get(OTLP_ENDPOINT):
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        processors.append(BatchSpanProcessor(OTLPSpanExporter()))
    file = environ.get(TRACE_FILE)
    if file:
        from shared.telemetry.tracefile import FileSpanExporter

        # One at a time: what a process saw until it was killed is what its trace is needed for.
        processors.append(SimpleSpanProcessor(FileSpanExporter(Path(file))))
    return processors


def _configure_azure_monitor(
    connection_string: str, resource: object, processors: list[SpanProcessor]
) -> None:
    from azure.monitor.opentelemetry import configure_azure_monitor

    # The distribution's own default keeps five spans a second, each for itself, and so tears the
    # trace of a rollout apart. Whoever wants fewer sets the variable to sample whole traces.
    os.environ.setdefault("OTEL_TRACES_SAMPLER", "parentbased_always_on")
    configure_azure_monitor(
        connection_string=connection_string,
        resource=resource,
        span_processors=processors,
        logger_name=TRACER,
        instrumentation_options={name: {"enabled": False} for name in _UNUSED_INSTRUMENTATIONS},
    )


def _nothing_to_flush() -> None:
    """No exporter is configured."""
