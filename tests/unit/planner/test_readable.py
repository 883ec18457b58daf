"""The planner can be read in half an hour and does nothing but decide: held here, not hoped for."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest

from shared import planner
from shared.contract.reasons import ReasonCode
from shared.planner.decisions import Decision

FOLDER = Path(planner.__file__).parent
MODULES = sorted(FOLDER.glob("*.py"))
LINES_OF_A_FUNCTION = 40
LINES_IN_ALL = 2_200
ALLOWED = {
    "__future__", "collections.abc", "dataclasses", "datetime", "enum", "math", "typing", "uuid",
    "zoneinfo",  # reads the zones' tables once; which offset holds when is not for us to know
    "shared.contract", "shared.planner",
}  # fmt: skip
IMPURE = {"now", "utcnow", "today", "open", "print", "input", "exec", "eval", "uuid4", "uuid1"}

modules = pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)


def nodes(module: Path) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(module.read_text(encoding="utf-8")))


@modules
def test_no_function_is_longer_than_a_page(module: Path) -> None:
    found = [node for node in nodes(module) if isinstance(node, ast.FunctionDef)]
    lengths = {node.name: (node.end_lineno or 0) - node.lineno + 1 for node in found}
    assert {name: n for name, n in lengths.items() if n > LINES_OF_A_FUNCTION} == {}


@modules
def test_it_imports_nothing_that_could_do_or_know_anything(module: Path) -> None:
    imported = [
        name
        for node in nodes(module)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [str(node.module)]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    ]
    assert [n for n in imported if not any(n == a or n.startswith(f"{a}.") for a in ALLOWED)] == []


@modules
def test_it_asks_no_clock_and_waits_for_nothing(module: Path) -> None:
    called = {
        node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        for node in nodes(module)
        if isinstance(node, ast.Call)
    }
    assert called & IMPURE == set()
    waiting = (ast.AsyncFunctionDef, ast.Await, ast.Global, ast.Nonlocal)
    assert not [node for node in nodes(module) if isinstance(node, waiting)]


@pytest.mark.parametrize("decision", get_args(Decision), ids=lambda kind: kind.__name__)
def test_every_decision_carries_its_reason_code_and_a_sentence(decision: type) -> None:
    found = {field.name: field.type for field in fields(decision)}
    assert found["reason"] == ReasonCode.__name__
    assert found["message"] == "str"


def test_it_can_be_read_in_half_an_hour() -> None:
    total = sum(len(module.read_text(encoding="utf-8").splitlines()) for module in MODULES)
    assert total <= LINES_IN_ALL
