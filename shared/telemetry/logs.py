r"""JSON logs: one line per event, a constant text plus fields.

    log = get_logger(__name__)
    log.info("cluster registered", cluster=name, token_id=token.id)

The text is a constant so that events can be counted; what varies stands in fields. JSON escapes
CR, LF and ANSI sequences, so that a name chosen by someone else cannot forge a line. Secrets are
taken out by name and by shape (`redaction`). Nothing is shipped from here: lines go to standard
error, or to the handlers that the Functions worker has put in place.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TextIO

from shared.telemetry.redaction import redact, redact_text

ROOT = "arcbridge"
_FIELDS = "arcbridge_fields"


class EventLogger:
    """Logs events under `arcbridge.<name>`; the level's methods take the event and its fields."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(f"{ROOT}.{name}")

    def debug(self, event: str, /, **fields: object) -> None:
        self._log(logging.DEBUG, event, fields)

    def info(self, event: str, /, **fields: object) -> None:
        self._log(logging.INFO, event, fields)

    def warning(self, event: str, /, **fields: object) -> None:
        self._log(logging.WARNING, event, fields)

    def error(self, event: str, /, **fields: object) -> None:
        self._log(logging.ERROR, event, fields)

    def exception(self, event: str, /, **fields: object) -> None:
        """An error with the exception that is being handled."""
        self._log(logging.ERROR, event, fields, with_exception=True)

    def _log(
        self, level: int, event: str, fields: dict[str, object], *, with_exception: bool = False
    ) -> None:
        if self._logger.isEnabledFor(level):
            # The record carries the fields as they are; the formatter is what redacts and writes.
            self._logger.log(level, event, extra={_FIELDS: fields}, exc_info=with_exception)


def get_logger(name: str) -> EventLogger:
    """The logger of a module (`get_logger(__name__)`)."""
    return EventLogger(name)


class JsonFormatter(logging.Formatter):
    """One JSON object per record: time, level, logger, service, event, trace, fields, exception."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "service": self._service,
            "event": redact_text(record.getMessage()),
            **_trace_ids(),
        }
        fields = getattr(record, _FIELDS, None)
        if fields:
            line["fields"] = redact(fields)
        if record.exc_info:
            line["exception"] = redact_text(self.formatException(record.exc_info))
        return json.dumps(line, default=str)


def _trace_ids() -> dict[str, object]:
    """The current span's ids, when OpenTelemetry is in use in this process at all."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return {}
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return {}
    return {"traceId": f"{context.trace_id:032x}", "spanId": f"{context.span_id:016x}"}


def configure_logging(service: str, *, level: str = "INFO", stream: TextIO | None = None) -> None:
    """Make every handler of the root logger write JSON; one on standard error where there is none.

    To be called once, by a program's main (or the Functions app at import: the worker has set up
    its handler by then). `level` counts for ArcBridge's own loggers; libraries log warnings and
    above.
    """
    root = logging.getLogger()
    if not root.handlers or stream is not None:
        root.addHandler(logging.StreamHandler(stream or sys.stderr))
    for handler in root.handlers:
        handler.setFormatter(JsonFormatter(service))
    root.setLevel(logging.WARNING)
    logging.getLogger(ROOT).setLevel(level.upper())
