"""A rollout's trace, drawn as a tree from the spans that all processes wrote to one file."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAX_CHILDREN = 6


@dataclass(frozen=True)
class Line:
    """One line of the tree."""

    depth: int
    service: str
    name: str
    start_ms: float
    """After the start of the trace."""
    duration_ms: float


def read(path: Path, trace_id: str) -> list[dict[str, Any]]:
    """The spans of one trace."""
    spans = (json.loads(line) for line in path.read_text().splitlines())
    return [span for span in spans if span["traceId"] == trace_id]


def services(spans: Sequence[Mapping[str, Any]]) -> set[str]:
    """Which parts took part."""
    return {str(span["service"]) for span in spans}


def tree(spans: Sequence[Mapping[str, Any]]) -> list[Line]:
    """The trace as lines, each span below its parent; siblings alike are summed up after six.

    A span whose parent is not in the file (it was never finished, or made by the caller) is a root.
    """
    if not spans:
        return []
    known = {span["spanId"] for span in spans}
    below: dict[str | None, list[Mapping[str, Any]]] = defaultdict(list)
    for span in sorted(spans, key=lambda each: float(each["startSeconds"])):
        below[span["parentSpanId"] if span["parentSpanId"] in known else None].append(span)
    begin = min(float(span["startSeconds"]) for span in spans)
    lines: list[Line] = []

    def add(parent: str | None, depth: int) -> None:
        shown: dict[tuple[str, str], int] = defaultdict(int)
        for span in below[parent]:
            kind = (str(span["service"]), str(span["name"]))
            shown[kind] += 1
            if shown[kind] > MAX_CHILDREN:
                continue
            start = (float(span["startSeconds"]) - begin) * 1000
            lines.append(Line(depth, *kind, start, float(span["durationMs"])))
            add(str(span["spanId"]), depth + 1)
        for (service, name), count in shown.items():
            if count > MAX_CHILDREN:
                more = f"… and {count - MAX_CHILDREN} more: {name}"
                lines.append(Line(depth, service, more, 0.0, 0.0))

    add(None, 0)
    return lines
