"""What a row of the table is, and how it says what it saw."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.attacks.target import Target

Play = Callable[["Target"], Awaitable[str]]
DEADLINE_SECONDS = 240.0


class NotHeldError(Exception):
    """The attack got through; the text is what was seen."""


def held(condition: object, seen: str) -> None:
    """Go on only if the defence held."""
    if not condition:
        raise NotHeldError(seen)


@dataclass(frozen=True)
class Attack:
    """One row."""

    entry_point: str
    attack: str
    expected: str
    play: Play
    """Plays it and says what was seen. Raises NotHeldError."""
    alone: bool = False
    """Whether it would disturb others: such rows come last, one after the other."""

    @property
    def name(self) -> str:
        """How tests and the JSON file call it."""
        return f"{self.entry_point}: {self.attack}"

    @property
    def documented(self) -> str:
        """Its line in docs/security.md."""
        module = self.play.__module__.rpartition(".")[2]
        return f"| {self.entry_point} | {self.attack} | {self.expected} | `{module}.py` |"


@dataclass(frozen=True)
class Outcome:
    """What came of playing a row."""

    attack: Attack
    seen: str
    held: bool
    seconds: float


ROWS: list[Attack] = []
"""What `row` has put together so far; `table` has them in order."""


def row(
    entry_point: str, attack: str, *, expected: str, alone: bool = False
) -> Callable[[Play], Play]:
    """Put a function into the table."""

    def put(play: Play) -> Play:
        ROWS.append(Attack(entry_point, attack, expected, play, alone))
        return play

    return put


async def played(attack: Attack, target: Target) -> Outcome:
    """Play one row; an error of any kind means that it does not hold."""
    started = time.monotonic()
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            seen, holds = await attack.play(target), True
    except NotHeldError as error:
        seen, holds = str(error), False
    except Exception as error:
        seen, holds = f"{type(error).__name__}: {error}", False
    return Outcome(attack, seen, holds, time.monotonic() - started)
