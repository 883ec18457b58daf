"""Following a rollout: one progress bar per stage, and what it waits for.

On a terminal the bars move; elsewhere each change is one line. Looks are polls: the API has no
stream, and a lost connection costs nothing but one look.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC
from typing import TYPE_CHECKING
from uuid import UUID

from arcbridge.cli.exits import CommandError, Exit
from arcbridge.cli.output import printable
from arcbridge.cli.session import Session

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from shared.contract.rollout import Rollout, StageProgress, WaitingFor


def follow(
    session: Session,
    rollout_id: UUID,
    *,
    interval: float,
    seconds: float | None = None,
    sleep: Callable[[float], None] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> Rollout:
    """Look until the rollout is over, and give how it ended.

    Raises CommandError (Unavailable) after `seconds`.
    """
    ends = monotonic() + seconds if seconds is not None else None
    view: _Bars | _Lines = _Bars(session) if session.words.is_terminal else _Lines(session)
    with view:
        while True:
            rollout = session.client.rollouts.get(rollout_id)
            view.show(rollout)
            if rollout.state.is_over:
                return rollout
            if ends is not None and monotonic() >= ends:
                raise CommandError(
                    Exit.UNAVAILABLE, f"the rollout is {rollout.state} after {seconds:.0f} s"
                )
            sleep(interval)


def in_words(rollout: Rollout) -> str:
    """State and what it waits for, in one line."""
    head = f"{rollout.extension}: {rollout.state}"
    if rollout.waiting_for is None or rollout.state.is_over:
        return printable(head)
    return printable(f"{head}, {waiting_in_words(rollout.waiting_for)}{_pace(rollout)}")


def waiting_in_words(waiting: WaitingFor) -> str:
    """`the cluster is silent, until it returns, or has been silent for too long (2026-…Z)`."""
    text = waiting.message
    if waiting.ends_when:
        text += f", until {waiting.ends_when}"
    if waiting.until is not None:
        text += f" ({waiting.until.astimezone(UTC):%Y-%m-%d %H:%M:%SZ})"
    return printable(text)


def _pace(rollout: Rollout) -> str:
    """An adaptive pace that is below what was declared, unless the wait says so already."""
    pace, waiting = rollout.pace, rollout.waiting_for
    if pace is None or pace.per_minute >= rollout.strategy.pace.per_minute:
        return ""
    if waiting is not None and waiting.reason == "Paced":
        return ""
    return f" [pace {pace.message}]"


def stage_in_words(stage: StageProgress) -> str:
    """`2/5 ready, 1 in flight, 0 failed (at most 0)`."""
    text = f"{stage.succeeded}/{stage.total} ready, {stage.in_flight} in flight"
    if stage.skipped:
        text += f", {stage.skipped} skipped"
    return f"{text}, {stage.failed} failed (at most {stage.failure_budget})"


class _Bars:
    """Live bars on a terminal."""

    def __init__(self, session: Session) -> None:
        from rich.progress import BarColumn, Progress, TextColumn

        self._progress: Progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[words]}", markup=False),
            console=session.words,
        )
        self._head = self._progress.add_task("", total=None, words="")
        self._stages: dict[str, TaskID] = {}

    def __enter__(self) -> None:
        self._progress.start()

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, rollout: Rollout) -> None:
        over = rollout.state.is_over
        self._progress.update(
            self._head,
            description=str(rollout.state),
            words=in_words(rollout),
            total=1 if over else None,
            completed=1 if over else 0,
        )
        for stage in rollout.stages:
            if stage.name not in self._stages:
                self._stages[stage.name] = self._progress.add_task(f"  {stage.name}", words="")
            self._progress.update(
                self._stages[stage.name],
                total=max(stage.total - stage.skipped, 1),
                completed=stage.succeeded + stage.failed,
                words=stage_in_words(stage),
            )


class _Lines:
    """One line per change, where nobody looks at a terminal."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._said: dict[str, str] = {}

    def __enter__(self) -> None:
        """Nothing to start."""

    def __exit__(self, *_: object) -> None:
        """Nothing to stop."""

    def show(self, rollout: Rollout) -> None:
        self._say("", in_words(rollout))
        for stage in rollout.stages:
            if stage.opened_at is not None:
                self._say(stage.name, f"  {stage.name}: {stage_in_words(stage)}")

    def _say(self, key: str, line: str) -> None:
        if self._said.get(key) != line:
            self._said[key] = line
            self._session.say(line)
