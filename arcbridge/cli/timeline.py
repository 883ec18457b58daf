"""A simulation as lines of text: when which stage was open, how the numbers went, what happened.

Pure: the same simulation and width give the same lines, on a terminal and in a file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from arcbridge.cli.output import printable
from shared.contract.wording import plural

if TYPE_CHECKING:
    from shared.contract.plan import SimulatedMoment, SimulatedStage, Simulation

WIDTH: Final = 60
EVENTS: Final = 30
_LEVELS: Final = " ▁▂▃▄▅▆▇█"
_NUMBERS: Final[tuple[tuple[str, Callable[[SimulatedMoment], int]], ...]] = (
    ("reached", lambda moment: moment.reached),
    ("in flight", lambda moment: moment.in_flight),
    ("ready", lambda moment: moment.succeeded),
    ("failed", lambda moment: moment.failed),
    ("held", lambda moment: moment.held),
    ("skipped", lambda moment: moment.skipped),
    ("taken back", lambda moment: moment.taken_back),
)


def lasting(seconds: float) -> str:
    """`45s`, `6m05s`, `2h30m`, `3d04h`: the two largest units."""
    whole = round(seconds)
    for unit, length, below, part in (("d", 86400, "h", 3600), ("h", 3600, "m", 60)):
        if whole >= length:
            return f"{whole // length}{unit}{whole % length // part:02d}{below}"
    return f"{whole // 60}m{whole % 60:02d}s" if whole >= 60 else f"{whole}s"


def draw(simulation: Simulation, width: int = WIDTH) -> list[str]:
    """The whole picture."""
    return [printable(line) for line in _lines(simulation, width)]


def _lines(simulation: Simulation, width: int) -> Iterator[str]:
    yield from _summary(simulation)
    yield ""
    end = max(simulation.samples[-1].after_seconds, 1.0)
    label = max([11, *(len(stage.name) for stage in simulation.stages)])
    yield f"  {'':{label}}  {_axis(end, width)}"
    for stage in simulation.stages:
        row = "".join(_is_open(stage, n, end / width) for n in range(width))
        yield f"  {stage.name:{label}}  {row}  {_outcome(stage)}"
    for name, value in _NUMBERS:
        values = [value(_at(simulation, end * (n + 1) / width)) for n in range(width)]
        if most := max(values):
            row = "".join(_LEVELS[-(-8 * each // most)] for each in values)
            yield f"  {name:{label}}  {row}  at most {most}, {values[-1]} at the end"
    yield ""
    for event in simulation.events[:EVENTS]:
        yield f"  +{lasting(event.after_seconds):8}{event.reason:22}{event.message}"
    more = len(simulation.events) - EVENTS + simulation.events_left_out
    if more > 0:
        yield f"  and {more} more: see -o json"


def _summary(simulation: Simulation) -> Iterator[str]:
    ended = f"waits from {lasting(simulation.samples[-1].after_seconds)} on"
    if simulation.ends_after_seconds is not None:
        ended = f"after {lasting(simulation.ends_after_seconds)}"
    yield (
        f"{simulation.extension} as revision {simulation.revision}: {simulation.state} {ended} "
        f"(failures {simulation.failures}, offline {simulation.offline}, seed {simulation.seed})"
    )
    if simulation.waiting_for is not None:
        waiting = simulation.waiting_for
        yield f"  {waiting.message}, until {waiting.ends_when}"
    yield f"  {simulation.reached} of {plural(simulation.targets, 'cluster')} got it" + (
        f", {simulation.taken_back} taken back" if simulation.taken_back else ""
    )
    if simulation.first_failure_after_seconds is not None:
        yield (
            f"  {simulation.reached_at_first_failure} had it when the first failure showed, "
            f"after {lasting(simulation.first_failure_after_seconds)}"
        )
    yield f"  failing everywhere, it would reach at most {simulation.blast_radius}"


def _axis(end: float, width: int) -> str:
    """The times at the start, a third, two thirds and the end."""
    row = [" "] * width
    for share in (0.0, 1 / 3, 2 / 3):
        text = lasting(end * share)
        row[int(width * share) : int(width * share) + len(text)] = text
    last = lasting(end)
    row[width - len(last) :] = last
    return "".join(row)


def _is_open(stage: SimulatedStage, column: int, seconds: float) -> str:
    """Whether the stage was open at some time in the column, which lasts so many seconds."""
    opened, passed = stage.opened_after_seconds, stage.passed_after_seconds
    if opened is None or not stage.total or (column + 1) * seconds <= opened:
        return "·"
    return "█" if passed is None or column * seconds < passed else "·"


def _outcome(stage: SimulatedStage) -> str:
    parts = [
        f"{count} {what}"
        for count, what in (
            (stage.succeeded, "ready"),
            (stage.failed, "failed"),
            (stage.skipped, "skipped"),
            (stage.unfinished, "not done"),
        )
        if count
    ]
    return f"{stage.total}: {', '.join(parts)}" if parts else "no clusters"


def _at(simulation: Simulation, seconds: float) -> SimulatedMoment:
    """The last numbers that were known by then."""
    known = simulation.samples[0]
    for moment in simulation.samples:
        if moment.after_seconds > seconds:
            break
        known = moment
    return known
