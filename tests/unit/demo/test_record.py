"""demo.json says of each step what was checked, and the demo passes only if every step did."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dev.demo.record import Outcome, Step, StepFailedError, passed, write


def test_a_check_that_holds_is_noted_and_one_that_does_not_ends_the_step() -> None:
    step = Step("look")
    step.check(True, "it is there")
    with pytest.raises(StepFailedError, match="not so: it is ready"):
        step.check(False, "it is ready")
    assert step.checked == ["it is there"]


@pytest.mark.parametrize("outcome", [Outcome.WAITING, Outcome.RUNNING, Outcome.FAILED])
def test_the_demo_passes_only_if_every_step_did(outcome: Outcome) -> None:
    assert passed([Step("a", Outcome.PASSED), Step("b", Outcome.PASSED)])
    assert not passed([Step("a", Outcome.PASSED), Step("b", outcome)])


def test_the_file_holds_name_outcome_seconds_and_what_was_checked(tmp_path: Path) -> None:
    step = Step("publish", Outcome.PASSED, seconds=1.234, checked=["every replica is ready"])
    write(tmp_path / "demo.json", [step], 2.0)
    assert json.loads((tmp_path / "demo.json").read_text()) == {
        "outcome": "passed",
        "seconds": 2.0,
        "steps": [
            {
                "name": "publish",
                "outcome": "passed",
                "seconds": 1.2,
                "checked": ["every replica is ready"],
            }
        ],
    }
