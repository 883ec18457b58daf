"""What is kept of a simulation: what was decided when, and how the numbers went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from shared.contract.reasons import ReasonCode
from shared.contract.rollout import WaitingFor
from shared.contract.states import RolloutKind, RolloutState
from shared.planner.decisions import Decision, MoveTarget, Release, Revert
from shared.planner.view import StageView
from shared.simulation.state import Running

HAPPENINGS: Final = 500
"""Of one simulation that are kept; what comes after is counted only."""
HELD: Final = frozenset({ReasonCode.FREEZE_ACTIVE, ReasonCode.WINDOW_CLOSED})
LACKING: Final = frozenset({ReasonCode.DEPENDENCY_NOT_READY, ReasonCode.DEPENDENT_PRESENT})


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that was decided."""

    at: datetime
    reason: ReasonCode
    message: str


@dataclass(frozen=True, slots=True)
class Sample:
    """The numbers of the forward rollout at one moment."""

    at: datetime
    got_it: int
    in_flight: int
    succeeded: int
    failed: int
    skipped: int
    taken_back: int
    """Reverted alone, or brought back by the rollback."""
    held: int
    """In open stages, on clusters that lack another extension."""


@dataclass(frozen=True, slots=True)
class Simulated:
    """How a simulation went."""

    state: RolloutState
    started_at: datetime
    ended_at: datetime | None
    """None where it did not end by itself: it waits for `waiting_for`."""
    waiting_for: WaitingFor | None
    stages: tuple[StageView, ...]
    """Of the forward rollout, as they were at the end."""
    ready: Mapping[UUID, datetime]
    """Since when clusters that succeeded, or soak, are ready; empty once it is taken back."""
    got_it: frozenset[UUID]
    """Clusters that the revision was released to."""
    got_it_at_first_failure: int | None
    first_failure_at: datetime | None
    taken_back: int
    happenings: tuple[Happening, ...]
    left_out: int
    """Happenings that were not kept."""
    samples: tuple[Sample, ...]


@dataclass
class Recorder:
    """Collects while the simulation runs."""

    happenings: list[Happening] = field(default_factory=list)
    left_out: int = 0
    samples: list[Sample] = field(default_factory=list)
    first_failure_at: datetime | None = None
    got_it_at_first_failure: int | None = None
    _lacked: bool = False

    def decided(self, running: Running, decisions: Sequence[Decision], now: datetime) -> None:
        """Before the decisions are carried out. Releases and single targets are in the numbers."""
        for decision in decisions:
            if isinstance(decision, MoveTarget):
                if decision.becomes.is_failure and self.first_failure_at is None:
                    self.first_failure_at = now
                    self.got_it_at_first_failure = len(running.got_it)
            elif not isinstance(decision, (Release, Revert)):
                back = "rollback: " if running.kind is RolloutKind.ROLLBACK else ""
                self.note(now, decision.reason, f"{back}{decision.message}")

    def waits(self, before: WaitingFor | None, waiting: WaitingFor | None, now: datetime) -> None:
        """A freeze or a closed window begins to hold the rollout, or holds it no more.

        That nothing goes on but by other extensions is noted once: it comes and goes with each
        cluster.
        """
        if waiting is not None and waiting.reason in LACKING and not self._lacked:
            self._lacked = True
            self.note(now, waiting.reason, waiting.message)
        held = before is not None and before.reason in HELD
        if waiting is not None and waiting.reason in HELD:
            if not held:
                self.note(now, waiting.reason, waiting.message)
        elif held and before is not None:
            self.note(now, ReasonCode.PROGRESSING, "nothing holds releases any more")

    def note(self, at: datetime, reason: ReasonCode, message: str) -> None:
        """Keep a happening."""
        if len(self.happenings) < HAPPENINGS:
            self.happenings.append(Happening(at, reason, message))
        else:
            self.left_out += 1

    def sample(self, at: datetime, forward: Running, back: Running | None) -> None:
        """Keep the numbers; several at one moment count as the last of them."""
        stages = forward.stages
        found = Sample(
            at,
            len(forward.got_it),
            sum(stage.in_flight for stage in stages) if forward.is_under_way else 0,
            sum(stage.succeeded for stage in stages),
            sum(stage.failed for stage in stages),
            sum(stage.skipped for stage in stages),
            taken_back(forward, back),
            forward.held if forward.is_under_way else 0,
        )
        if self.samples and self.samples[-1].at == at:
            self.samples.pop()
        self.samples.append(found)


def taken_back(forward: Running, back: Running | None) -> int:
    """Clusters that got the revision and do not have it any more."""
    brought = sum(stage.succeeded for stage in back.stages) if back is not None else 0
    return len(forward.reverted) + brought
