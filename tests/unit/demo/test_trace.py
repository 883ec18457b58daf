"""A trace is drawn as a tree, whatever order its spans were written in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dev.demo.trace import MAX_ALIKE, read, services, tree


def span(name: str, parent: str | None, /, start: float = 0.0, **changes: Any) -> dict[str, Any]:
    return {
        "traceId": "t", "spanId": name, "parentSpanId": parent, "name": name,
        "service": "agent", "startSeconds": start, "durationMs": 5.0,
    } | changes  # fmt: skip


def test_children_stand_below_their_parents_in_order_of_time() -> None:
    spans = [
        span("b", "root", 2.0),
        span("a", "root", 1.0),
        span("root", None),
        span("c", "a", 1.5),
    ]
    assert [(line.depth, line.name, line.start_ms) for line in tree(spans)] == [
        (0, "root", 0.0), (1, "a", 1000.0), (2, "c", 1500.0), (1, "b", 2000.0),
    ]  # fmt: skip


def test_a_span_whose_parent_was_never_written_is_a_root() -> None:
    assert [(line.depth, line.name) for line in tree([span("a", "lost")])] == [(0, "a")]


def test_of_many_siblings_alike_those_that_led_to_something_are_shown() -> None:
    spans = [span("root", None)]
    spans += [span(f"s{number}", "root", float(number), name="poll") for number in range(9)]
    spans.append(span("work", "s7", 8.0))
    assert [(line.depth, line.name, line.start_ms) for line in tree(spans)] == [
        (0, "root", 0.0),
        (1, "poll", 0.0),
        (1, "poll", 1000.0),
        (1, "poll", 7000.0),
        (2, "work", 8000.0),
        (1, f"… and {9 - MAX_ALIKE} more: poll", None),
    ]


def test_only_the_spans_of_one_trace_are_read(tmp_path: Path) -> None:
    file = tmp_path / "traces.jsonl"
    spans = [span("a", None), span("b", None, traceId="other", service="relay")]
    file.write_text("".join(f"{json.dumps(each)}\n" for each in spans))
    assert services(read(file, "t")) == {"agent"}
