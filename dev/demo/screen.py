"""What is seen while the demo runs: live on a terminal, line by line elsewhere."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from dev.demo.record import Outcome, Step
from dev.demo.witness import Sighting, Witness

LINES_SHOWN = 6
REFRESH_PER_SECOND = 4
MARKS: Mapping[Outcome, tuple[str, str]] = {
    Outcome.WAITING: ("·", "dim"),
    Outcome.RUNNING: ("▶", "yellow"),
    Outcome.PASSED: ("✔", "green"),
    Outcome.FAILED: ("✘", "red"),
}


class Screen:
    """The steps, the clusters as they are at this moment, and the last lines."""

    def __init__(self, console: Console, steps: Sequence[Step]) -> None:
        self._console = console
        self._steps = steps
        self._started = time.monotonic()
        self._step_started = self._started
        self._lines: deque[str] = deque(maxlen=LINES_SHOWN)
        self.witnesses: Mapping[str, Witness] = {}
        self._live = (
            Live(get_renderable=self._render, console=console, transient=True,
                 refresh_per_second=REFRESH_PER_SECOND)
            if console.is_terminal
            else None
        )  # fmt: skip

    def __enter__(self) -> Screen:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self._started

    def begin(self, step: Step) -> None:
        """A step begins."""
        step.outcome = Outcome.RUNNING
        self._step_started = time.monotonic()
        self._print(f"▶ {step.name}")

    def end(self, step: Step) -> None:
        """A step has ended; its outcome and time are set."""
        mark = MARKS[step.outcome][0]
        for sentence in step.checked:
            self._print(f"    ✔ {sentence}")
        if step.problem:
            self._print(f"    ✘ {step.problem}")
        self._print(f"{mark} {step.name} ({step.seconds:.1f} s)")

    def say(self, line: str) -> None:
        """One line of what goes on."""
        if line:
            self._lines.append(line)
            self._print(f"    {line}")

    def _print(self, line: str) -> None:
        if not self._live:
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _render(self) -> RenderableType:
        lines = Text("\n".join(self._lines), style="dim", overflow="ellipsis", no_wrap=True)
        title = f"ArcBridge demo · {self.seconds:.0f} s"
        return Panel(Group(self._step_table(), Text(), self._cluster_table(), Text(), lines),
                     title=title, title_align="left")  # fmt: skip

    def _step_table(self) -> Table:
        table = Table.grid(padding=(0, 1))
        for number, step in enumerate(self._steps):
            mark, style = MARKS[step.outcome]
            running = step.outcome is Outcome.RUNNING
            seconds = time.monotonic() - self._step_started if running else step.seconds
            time_text = f"{seconds:.0f} s" if step.outcome is not Outcome.WAITING else ""
            table.add_row(
                Text(mark, style=style), str(number), Text(step.name, style=style), time_text
            )
        return table

    def _cluster_table(self) -> Table:
        table = Table.grid(padding=(0, 3))
        table.add_row(*(Text(name, style="bold") for name in self.witnesses))
        table.add_row(*(as_text(each.now) for each in self.witnesses.values()))
        return table


def as_text(sighting: Sighting | None) -> Text:
    """A Deployment in a word: what it runs, and whether all of it is ready."""
    if sighting is None or not sighting.image:
        return Text("nothing yet", style="dim")
    tag = sighting.image.rpartition(":")[2]
    return Text(f"web {tag}", style="green" if sighting.ready else "yellow")
