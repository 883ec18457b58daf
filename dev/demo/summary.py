"""The last step: what happened as a table, a rollout's trace, and where to look next."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dev.demo import trace
from dev.demo.record import Outcome, Step
from dev.demo.scene import Scene, until
from dev.demo.screen import MARKS

TRACED_PARTS = {"control-plane", "relay", "arcbridge-agent"}
TRACE_SECONDS = 10.0
TRACE_LINES = 40


async def sum_up(scene: Scene, step: Step) -> list[trace.Line]:
    """Read the trace of the staged rollout; checks that it runs through every part."""
    rollout = await scene.operator.arcbridge_json("rollout", "get", scene.told_rollout)
    trace_id = str(rollout["traceparent"]).split("-")[1]
    file = scene.stack.settings.trace_file

    async def is_whole() -> bool:
        return trace.services(trace.read(file, trace_id)) >= TRACED_PARTS

    await until(is_whole, f"the trace {trace_id} runs through every part", TRACE_SECONDS)
    spans = trace.read(file, trace_id)
    step.note(
        f"one trace of {len(spans)} spans runs from publish to ready, through"
        f" {', '.join(sorted(trace.services(spans)))}",
    )
    return trace.tree(spans)


def print_steps(console: Console, steps: Sequence[Step], seconds: float) -> None:
    """Every step with what was checked."""
    table = Table(title=f"ArcBridge demo: {seconds:.0f} s", title_justify="left")
    table.add_column("")
    table.add_column("step")
    table.add_column("seconds", justify="right")
    table.add_column("checked on the live objects")
    for number, step in enumerate(steps):
        mark, style = MARKS[step.outcome]
        told = "\n".join([*step.checked, *([f"✘ {step.problem}"] if step.problem else [])])
        ran = step.outcome is not Outcome.WAITING
        table.add_row(
            Text(mark, style=style), Text(f"{number} {step.name}"),
            f"{step.seconds:.1f}" if ran else "", Text(told), end_section=True,
        )  # fmt: skip
    console.print(table)


def print_trace(console: Console, lines: Sequence[trace.Line], file: Path) -> None:
    """The beginning of the tree of spans."""
    table = Table(title="The trace of version 2's rollout", title_justify="left", box=None)
    table.add_column("part", style="cyan")
    table.add_column("span")
    table.add_column("from (ms)", justify="right")
    table.add_column("took (ms)", justify="right")
    for line in lines[:TRACE_LINES]:
        table.add_row(
            line.service, Text(f"{'  ' * line.depth}{line.name}"),
            "" if line.start_ms is None else f"{line.start_ms:.0f}",
            "" if line.duration_ms is None else f"{line.duration_ms:.1f}",
        )  # fmt: skip
    console.print(table)
    if len(lines) > TRACE_LINES:
        console.print(f"  … and {len(lines) - TRACE_LINES} more lines: all spans are in {file}")


def print_next(console: Console) -> None:
    """Where to look next."""
    console.print(
        "\nWhere to look next\n"
        "  make up                  the same stack, left running: try .venv/bin/arcbridge\n"
        "  examples/                the extensions that were published\n"
        "  .arcbridge/demo.json     what was checked, for programs\n"
        "  .arcbridge/demo/logs/    what each process had to say\n"
        "  ARCHITECTURE.md          how it works",
        highlight=False,
    )
