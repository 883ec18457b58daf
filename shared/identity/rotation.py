"""What a rotation of the CA does next, decided from what is known. Pure; acting is a service's.

Prepared -> Issuing: every relay takes the new generation, and every connected agent has
acknowledged the bundle; so has every other agent with a good certificate, or an operator lets them
be, or the old generation has a week left. Then the new one serves: once no agent that could connect
lacks its root, those included that may still join with an older pin. Retiring -> Removed: nothing
that lives depends on it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from shared.contract.ca import CaState
from shared.contract.wording import plural

PREPARE_LEFT = timedelta(days=30)
"""A new generation is due when the issuing one has this much left."""
ACTIVATE_LEFT = timedelta(days=7)
"""With this much left clusters that are offline are waited for no longer."""
REMOVE_AFTER = timedelta(minutes=2)
"""A certificate that was being signed when its generation retired is stored long before."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One generation that is not removed, as the decision needs it."""

    id: str
    state: CaState
    not_after: datetime
    serves: bool
    overridden: bool = False
    retiring_at: datetime | None = None
    dependents: tuple[str, ...] = ()
    """What still needs it, in words."""


@dataclass(frozen=True, slots=True)
class Holders:
    """Clusters with a good certificate, by what they trust."""

    acknowledged: int = 0
    pending_connected: int = 0
    pending_offline: int = 0

    @property
    def pending(self) -> int:
        """Those that do not hold the bundle."""
        return self.pending_connected + self.pending_offline


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a decision looks at."""

    generations: tuple[Standing, ...]
    relays: dict[str, frozenset[str]]
    """Relays that are there -> the generations that they take and can sign with."""
    holders: Holders
    foreign_tokens: int = 0
    """Bootstrap tokens that can still be used and pin another root than the issuing one's."""

    def one(self, state: CaState) -> Standing | None:
        """The generation of this state; there is one at most but for retiring ones."""
        return next((each for each in self.generations if each.state is state), None)


class Move(StrEnum):
    """What can be done to a generation."""

    ACTIVATE = "activate"
    """It issues; the one that did retires."""
    SERVE = "serve"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do."""

    move: Move
    generation: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now, and what everything else waits for."""

    steps: tuple[Step, ...] = ()
    waiting_for: tuple[str, ...] = field(default=())


def decide(facts: Facts, now: datetime) -> Decision:
    """The next steps, in order; at most one for each generation."""
    steps: list[Step] = []
    waiting: list[str] = []
    for move, generation, missing in (
        *_activation(facts, now),
        *_service(facts),
        *_removals(facts, now),
    ):
        if missing:
            waiting += [f"to {move} {generation}: {each}" for each in missing]
        else:
            steps.append(Step(move, generation))
    return Decision(tuple(steps), tuple(waiting))


Considered = tuple[Move, str, list[str]]


def _activation(facts: Facts, now: datetime) -> list[Considered]:
    prepared, issuing = facts.one(CaState.PREPARED), facts.one(CaState.ISSUING)
    if prepared is None or issuing is None:
        return []
    missing = [
        f"relay {name} does not take it yet"
        for name, trusted in sorted(facts.relays.items())
        if prepared.id not in trusted
    ]
    if facts.holders.pending_connected:
        missing.append(
            f"{plural(facts.holders.pending_connected, 'connected cluster')} did not acknowledge "
            "the bundle yet"
        )
    late = issuing.not_after - now <= ACTIVATE_LEFT
    if facts.holders.pending_offline and not late and not prepared.overridden:
        missing.append(
            f"{plural(facts.holders.pending_offline, 'cluster')} offline without it: wait, or"
            " override with a reason"
        )
    return [(Move.ACTIVATE, prepared.id, missing)]


def _service(facts: Facts) -> list[Considered]:
    issuing = facts.one(CaState.ISSUING)
    if issuing is None or issuing.serves:
        return []
    pending = facts.holders.pending
    lacking = f"its root is not in {plural(pending, 'cluster')} with a good certificate yet"
    missing = [lacking] if pending else []
    if facts.foreign_tokens:
        missing.append(
            f"{plural(facts.foreign_tokens, 'bootstrap token')} pinning an older root can be used"
        )
    return [(Move.SERVE, issuing.id, missing)]


def _removals(facts: Facts, now: datetime) -> list[Considered]:
    issuing = facts.one(CaState.ISSUING)
    found: list[Considered] = []
    for each in facts.generations:
        if each.state is not CaState.RETIRING:
            continue
        missing = list(each.dependents)
        if now < each.not_after:
            if issuing is None or not issuing.serves:
                missing.append("the relays still present certificates of it")
            if each.retiring_at is None or now - each.retiring_at < REMOVE_AFTER:
                missing.append("what was being signed when it retired must be stored first")
        found.append((Move.REMOVE, each.id, missing))
    return found
