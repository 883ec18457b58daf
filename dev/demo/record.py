"""What happened in each step, and the file that says so (`.arcbridge/demo.json`)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


class Outcome(StrEnum):
    """How a step stands."""

    WAITING = "waiting"
    RUNNING = "running"
    PASSED = "passed"
    FAILED = "failed"


class StepFailedError(Exception):
    """Something is not as it should be; the text says what."""


@dataclass
class Step:
    """One step, filled in as it goes."""

    name: str
    outcome: Outcome = Outcome.WAITING
    seconds: float = 0.0
    checked: list[str] = field(default_factory=list)
    problem: str = ""

    def check(self, holds: object, sentence: str) -> None:
        """Note that something was checked; raises StepFailedError when it does not hold."""
        if not holds:
            raise StepFailedError(f"not so: {sentence}")
        self.note(sentence)

    def note(self, sentence: str) -> None:
        """Note what was checked by waiting for it."""
        self.checked.append(sentence)

    def as_json(self) -> dict[str, object]:
        """As it stands in demo.json."""
        content: dict[str, object] = {
            "name": self.name,
            "outcome": str(self.outcome),
            "seconds": round(self.seconds, 1),
            "checked": list(self.checked),
        }
        return content | ({"problem": self.problem} if self.problem else {})


def passed(steps: Sequence[Step]) -> bool:
    """Whether every step ended as it should."""
    return all(step.outcome is Outcome.PASSED for step in steps)


def write(path: Path, steps: Sequence[Step], seconds: float) -> None:
    """Write demo.json by rename."""
    content = {
        "outcome": str(Outcome.PASSED if passed(steps) else Outcome.FAILED),
        "seconds": round(seconds, 1),
        "steps": [step.as_json() for step in steps],
    }
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(json.dumps(content, indent=2) + "\n")
    partial.replace(path)
