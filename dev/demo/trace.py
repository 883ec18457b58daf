"""A rollout's trace, drawn as a tree from the spans that all processes wrote to one file."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAX_ALIKE = 3


@dataclass(frozen=True)
class Line:
    """One line of the tree."""

    depth: int
    service: str
    name: str
    start_ms: float | None
    """After the start of the trace; None on a line that stands for several spans."""
    duration_ms: float | None


def read(path: Path, trace_id: str) -> list[dict[str, Any]]:
    """The spans of one trace."""
    spans = (json.loads(line) for line in path.read_text().splitlines())
    return [span for span in spans if span["traceId"] == trace_id]


def services(spans: Sequence[Mapping[str, Any]]) -> set[str]:
    """Which parts took part."""
    return {str(span["service"]) for span in spans}


def tree(spans: Sequence[Mapping[str, Any]]) -> list[Line]:
    """The trace as lines, each span below its parent; of siblings alike only some are shown.

    A span whose parent is not in the file (it was never finished, or made by the caller) is a root.
    """
    if not spans:
        return []
    known = {span["spanId"] for span in spans}
    below: dict[str | None, list[Mapping[str, Any]]] = defaultdict(list)
    for span in sorted(spans, key=lambda each: float(each["startSeconds"])):
        below[span["parentSpanId"] if span["parentSpanId"] in known else None].append(span)
    begin = min(float(span["startSeconds"]) for span in spans)
    parents = {str(parent) for parent in below if parent is not None}
    lines: list[Line] = []

    def add(parent: str | None, depth: int) -> None:
        shown, left_out = chosen(below[parent], parents)
        for span in shown:
            start = (float(span["startSeconds"]) - begin) * 1000
            service, name = kind_of(span)
            lines.append(Line(depth, service, name, start, float(span["durationMs"])))
            add(str(span["spanId"]), depth + 1)
        for (service, name), count in left_out.items():
            lines.append(Line(depth, service, f"… and {count} more: {name}", None, None))

    add(None, 0)
    return lines


def chosen(
    siblings: Sequence[Mapping[str, Any]], parents: set[str]
) -> tuple[list[Mapping[str, Any]], dict[tuple[str, str], int]]:
    """Which siblings to show, and how many of each kind are left out.

    Up to three of each kind: first those that led to something (`parents`), then the others.
    """
    by_kind: dict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for span in siblings:
        by_kind[kind_of(span)].append(span)
    ids: set[str] = set()
    for alike in by_kind.values():
        telling_first = sorted(alike, key=lambda span: span["spanId"] not in parents)
        ids |= {str(span["spanId"]) for span in telling_first[:MAX_ALIKE]}
    left_out = {
        kind: len(alike) - MAX_ALIKE for kind, alike in by_kind.items() if len(alike) > MAX_ALIKE
    }
    return [span for span in siblings if span["spanId"] in ids], left_out


def kind_of(span: Mapping[str, Any]) -> tuple[str, str]:
    """The part and the name: what makes spans alike."""
    return str(span["service"]), str(span["name"])
