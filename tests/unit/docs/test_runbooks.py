"""A reason that wakes a person has a runbook, and its commands are ones that this product has."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer
import typer.main
from typer.core import TyperGroup

from arcbridge.cli.main import app
from shared.contract.reasons import ReasonCode, Severity

ROOT = Path(__file__).parents[3]
RUNBOOKS = ROOT / "docs" / "runbooks"
HEADINGS = [
    "What it means",
    "How to see it",
    "What to do first",
    "How to verify",
    "How to prevent it",
]
WAKING = [reason for reason in ReasonCode if reason.severity is not Severity.INFO]
FENCE = re.compile(r"```console\n(.*?)```", re.DOTALL)
INLINE = re.compile(r"`(arcbridge [^`]+)`")


def test_runbooks_and_reasons_that_wake_a_person_are_the_same_set() -> None:
    assert {path.stem for path in RUNBOOKS.glob("*.md")} == {reason.value for reason in WAKING}


@pytest.mark.parametrize("reason", WAKING, ids=str)
def test_a_runbook_has_its_parts_and_says_how_urgent_it_is(reason: ReasonCode) -> None:
    assert reason.runbook is not None
    text = (ROOT / reason.runbook).read_text()
    lines = text.splitlines()
    assert lines[0] == f"# {reason.value}"
    assert lines[2].lower().startswith(f"{reason.severity}. ")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == HEADINGS


def commands() -> list[tuple[str, str]]:
    found = []
    for path in sorted(RUNBOOKS.glob("*.md")):
        text = path.read_text()
        lines = [line for block in FENCE.findall(text) for line in block.splitlines()]
        lines += [line.replace("\n", " ") for line in INLINE.findall(text)]
        found += [(path.stem, line) for line in lines if line.startswith("arcbridge ")]
    return found


@pytest.mark.parametrize(("runbook", "line"), commands())
def test_every_command_of_a_runbook_is_one_that_exists(runbook: str, line: str) -> None:
    command = typer.main.get_command(app)
    context = typer.Context(command)
    words = shlex.split(line.split("|")[0])[1:]
    while isinstance(command, TyperGroup):
        found = command.get_command(context, words.pop(0))
        assert found is not None, line
        command = found
    known = {option for parameter in command.params for option in parameter.opts}
    options = [word for word in words if word.startswith("-") and word != "-"]
    assert set(options) <= known, line
