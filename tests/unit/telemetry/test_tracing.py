"""One trace over several processes, whatever exporter is set."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from shared.telemetry.tracing import is_traceparent

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE_ID = PARENT.split("-")[1]


def run(program: str, **environ: str) -> str:
    """Run a program in a process of its own (a process has one tracer provider); its output."""
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program)],
        capture_output=True, text=True, timeout=60, check=False, env={"PATH": "", **environ},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def spans(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


PUBLISH = """
    from shared.telemetry.tracing import Kind, configure_tracing, span, traceparent
    shutdown = configure_tracing("control-plane", instance="a")
    with span("publish", kind=Kind.SERVER, attributes={"revision": 2, "token": "c4n4ry"}):
        print(traceparent())
    shutdown()
"""
APPLY = """
    import os
    from shared.telemetry.tracing import configure_tracing, span, trace_id
    shutdown = configure_tracing("agent")
    with span("apply", parent=os.environ["PARENT"]):
        with span("helm upgrade"):
            print(trace_id())
    shutdown()
"""


def test_two_processes_share_one_trace_through_traceparent(tmp_path: Path) -> None:
    file = tmp_path / "traces" / "spans.jsonl"
    parent = run(PUBLISH, ARCBRIDGE_TRACE_FILE=str(file))
    trace_id = run(APPLY, ARCBRIDGE_TRACE_FILE=str(file), PARENT=parent)
    publish, helm, apply = spans(file)
    assert {span["traceId"] for span in (publish, helm, apply)} == {trace_id}
    assert publish["parentSpanId"] is None
    assert apply["parentSpanId"] == publish["spanId"]
    assert helm["parentSpanId"] == apply["spanId"]
    assert [publish["service"], apply["service"]] == ["control-plane", "agent"]
    assert publish["instance"] == "a"


def test_a_span_in_the_file_holds_no_attribute_named_like_a_secret(tmp_path: Path) -> None:
    file = tmp_path / "spans.jsonl"
    run(PUBLISH, ARCBRIDGE_TRACE_FILE=str(file))
    assert spans(file)[0]["attributes"] == {"revision": 2, "token": "[redacted]"}


def test_an_exception_marks_its_span_as_failed(tmp_path: Path) -> None:
    file = tmp_path / "spans.jsonl"
    run(
        """
        from shared.telemetry.tracing import configure_tracing, span
        configure_tracing("agent")
        try:
            with span("apply"):
                raise ValueError("broken chart")
        except ValueError:
            pass
        """,
        ARCBRIDGE_TRACE_FILE=str(file),
    )
    assert spans(file)[0]["status"] == "error"
    assert spans(file)[0]["events"] == ["exception"]


def test_a_killed_process_leaves_the_spans_it_had_finished(tmp_path: Path) -> None:
    file = tmp_path / "spans.jsonl"
    program = """
        import os
        from shared.telemetry.tracing import configure_tracing, span
        configure_tracing("agent")
        with span("apply"):
            with span("render"):
                pass
            os._exit(0)
    """
    run(program, ARCBRIDGE_TRACE_FILE=str(file))
    assert [span["name"] for span in spans(file)] == ["render"]


def test_without_an_exporter_the_parent_is_passed_on_and_no_sdk_is_loaded() -> None:
    printed = run(
        f"""
        import sys
        from shared.telemetry.tracing import configure_tracing, span, trace_id, traceparent
        configure_tracing("relay")
        with span("root"):
            print(traceparent())
        with span("wake", parent={PARENT!r}):
            print(trace_id())
        print("opentelemetry.sdk" in sys.modules)
        """
    )
    assert printed.split() == ["None", TRACE_ID, "False"]


def test_a_malformed_parent_counts_as_absent(tmp_path: Path) -> None:
    file = tmp_path / "spans.jsonl"
    run(APPLY, ARCBRIDGE_TRACE_FILE=str(file), PARENT="00-nonsense")
    assert spans(file)[-1]["parentSpanId"] is None


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        (PARENT, True),
        ("01" + PARENT[2:] + "-future", True),
        ("ff" + PARENT[2:], False),
        (PARENT.upper(), False),
        ("00-" + "0" * 32 + PARENT[35:], False),
        (PARENT[:36] + "0" * 16 + "-01", False),
        ("", False),
        (None, False),
    ],
)
def test_traceparents_are_told_from_other_texts(text: str | None, valid: bool) -> None:
    assert is_traceparent(text) is valid


@pytest.fixture
def collector() -> Iterator[tuple[str, list[str]]]:
    """An OTLP receiver: its address, and the paths that were posted to."""
    posted: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            posted.append(self.path if b"publish" in body else f"{self.path} without the span")
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keep the test's output quiet."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", posted
    server.shutdown()
    thread.join()
    server.server_close()


def test_spans_go_to_the_otlp_endpoint_when_it_is_set(
    collector: tuple[str, list[str]],
) -> None:
    address, posted = collector
    run(PUBLISH, OTEL_EXPORTER_OTLP_ENDPOINT=address)
    assert posted == ["/v1/traces"]


def test_azure_monitor_is_set_up_when_its_connection_string_is_set(tmp_path: Path) -> None:
    file = tmp_path / "spans.jsonl"
    printed = run(
        """
        import os, sys, warnings
        warnings.simplefilter("default")  # of the distribution's own imports
        from opentelemetry import trace
        from shared.telemetry.tracing import configure_tracing, span
        configure_tracing("control-plane")
        with span("publish"):
            pass
        processors = trace.get_tracer_provider()._active_span_processor._span_processors
        print(sorted({type(getattr(p, "span_exporter", p)).__name__ for p in processors}))
        sys.stdout.flush()
        os._exit(0)  # not waiting for an ingestion endpoint that does not exist
        """,
        APPLICATIONINSIGHTS_CONNECTION_STRING=(
            "InstrumentationKey=00000000-0000-0000-0000-000000000000;"
            "IngestionEndpoint=http://127.0.0.1:9/;LiveEndpoint=http://127.0.0.1:9/"
        ),
        ARCBRIDGE_TRACE_FILE=str(file),
        APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL="true",
    )
    assert "AzureMonitorTraceExporter" in printed
    assert [span["name"] for span in spans(file)] == ["publish"]
