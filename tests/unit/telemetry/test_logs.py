"""A log line is one line, says what happened, and holds no secret."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.telemetry.logs import JsonFormatter, configure_logging, get_logger
from shared.telemetry.redaction import REDACTED, is_secret_name, redact, redact_text

CANARY = "c4n4ry-s3cret"


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What the root logger writes; everything is set back after the test."""
    root, own = logging.getLogger(), logging.getLogger("arcbridge")
    before = (list(root.handlers), root.level, own.level)
    for handler in before[0]:
        root.removeHandler(handler)
    stream = io.StringIO()
    configure_logging("relay", stream=stream)
    yield stream
    root.handlers[:], root.level = before[0], before[1]
    own.setLevel(before[2])


def only_line(stream: io.StringIO) -> dict[str, Any]:
    text = stream.getvalue()
    assert text.count("\n") == 1
    line: dict[str, Any] = json.loads(text)
    return line


def test_an_event_and_its_fields_become_one_json_line(lines: io.StringIO) -> None:
    get_logger("tests").info("cluster registered", cluster="edge-1", attempts=2)
    line = only_line(lines)
    assert line["event"] == "cluster registered"
    assert line["fields"] == {"cluster": "edge-1", "attempts": 2}
    assert (line["level"], line["service"]) == ("info", "relay")
    assert line["time"].endswith("+00:00")


def test_a_field_may_be_called_like_an_attribute_of_a_log_record(lines: io.StringIO) -> None:
    get_logger("tests").warning("renamed", name="a", args="b", message="c", level="d", event="e")
    assert only_line(lines)["fields"]["message"] == "c"


def test_line_breaks_and_terminal_sequences_in_a_name_stay_inside_the_line(
    lines: io.StringIO,
) -> None:
    forged = 'x\r\n{"event": "forged"}\x1b[31m\u2028\x00\ud800'
    get_logger("tests").info("cluster registered", cluster=forged)
    assert not {"\r", "\x1b", "\u2028", "\x00"} & set(lines.getvalue())
    assert only_line(lines)["fields"]["cluster"] == forged


def test_an_exception_is_logged_without_the_secret_in_its_text(lines: io.StringIO) -> None:
    try:
        raise ConnectionError(f"cannot reach postgresql://app:{CANARY}@db/arcbridge")
    except ConnectionError:
        get_logger("tests").exception("database unreachable")
    assert "ConnectionError" in only_line(lines)["exception"]
    assert CANARY not in lines.getvalue()


def test_a_library_that_logs_info_stays_silent_and_its_warnings_are_json(
    lines: io.StringIO,
) -> None:
    library = logging.getLogger("some.library")
    library.info("chatter")
    library.warning("odd %s", "thing")
    assert only_line(lines)["event"] == "odd thing"


@pytest.mark.parametrize(
    "name",
    ["password", "bootstrapToken", "token", "client_secret", "X-API-Key", "Authorization",
     "privateKey", "connectionString", "assertion", "cookies"],
)  # fmt: skip
def test_a_field_named_like_a_secret_is_redacted(name: str) -> None:
    assert redact({"outer": [{name: CANARY}]}) == {"outer": [{name: REDACTED}]}


@pytest.mark.parametrize("name", ["token_id", "tokens_left", "secretary", "keys", "public_key"])
def test_a_field_that_only_sounds_like_a_secret_is_kept(name: str) -> None:
    assert not is_secret_name(name)


def test_a_count_under_a_secret_name_is_kept() -> None:
    assert redact({"tokens": 5}) == {"tokens": 5}


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {CANARY}",
        f"redis://:{CANARY}@127.0.0.1:6379/0",
        f"eyJhbGciOiJSUzI1NiJ9.{CANARY}.c2ln",
        f"-----BEGIN EC PRIVATE KEY-----\n{CANARY}\n-----END EC PRIVATE KEY-----",
        f"cut off: -----BEGIN PRIVATE KEY-----\n{CANARY}",
    ],
)
def test_a_text_shaped_like_a_secret_is_redacted(text: str) -> None:
    assert CANARY not in redact_text(text)


@given(
    st.recursive(
        st.text() | st.none() | st.floats() | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_value_can_be_logged_as_one_line(value: object) -> None:
    record = logging.LogRecord("arcbridge.x", logging.INFO, "", 0, "event", None, None)
    record.arcbridge_fields = {"value": value}
    line = JsonFormatter("tests").format(record)
    assert line.isascii()
    assert line.isprintable()
    json.loads(line)


def test_importing_logs_and_the_other_modules_loads_nothing_heavy() -> None:
    heavy = ["opentelemetry", "prometheus_client", "azure.monitor", "pydantic", "grpc"]
    program = (
        "import sys, shared.telemetry.logs, shared.telemetry.tracing, shared.telemetry.metrics\n"
        f"sys.exit(str([m for m in {heavy!r} if m in sys.modules] or 0))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False
    )
    assert result.stderr.strip() == "0"
