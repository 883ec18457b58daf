"""Spans as JSON lines in a local file, for development: the demo prints a rollout's trace from it.

Several processes may append to one file: each span is one `write` of a descriptor in append mode.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from shared.telemetry.redaction import redact


class FileSpanExporter(SpanExporter):
    """Appends each finished span to a file."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(
            path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600
        )

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            for span in spans:
                os.write(self._descriptor, f"{json.dumps(as_record(span))}\n".encode())
        except OSError:
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        os.close(self._descriptor)


def as_record(span: ReadableSpan) -> dict[str, object]:
    """The span as a JSON object: ids in hexadecimal, start in Unix seconds, duration in ms."""
    context = span.get_span_context()
    start, end = span.start_time or 0, span.end_time or 0
    return {
        "traceId": f"{context.trace_id:032x}" if context else "",
        "spanId": f"{context.span_id:016x}" if context else "",
        "parentSpanId": f"{span.parent.span_id:016x}" if span.parent else None,
        "name": span.name,
        "kind": span.kind.name.lower(),
        "service": span.resource.attributes.get("service.name"),
        "instance": span.resource.attributes.get("service.instance.id"),
        "startSeconds": start / 1e9,
        "durationMs": (end - start) / 1e6,
        "status": span.status.status_code.name.lower(),
        "attributes": redact(dict(span.attributes or {})),
        "events": [event.name for event in span.events],
        "links": [f"{link.context.trace_id:032x}" for link in span.links],
    }
