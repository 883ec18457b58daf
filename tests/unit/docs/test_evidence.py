"""docs/evidence.md names tests that are there: a test that is renamed or deleted is noticed."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "evidence.md").read_text(encoding="utf-8")
NAMED = re.compile(r"`(tests/[^`:]+\.py)::([^`]+)`")
COLUMNS = 3


def rows(page: str) -> list[tuple[str, list[str]]]:
    """The section and the cells of each row."""
    found, section = [], ""
    for line in page.splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ")
        elif line.startswith("|") and not line.startswith(("| what", "| ---")):
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            found.append((section, cells))
    return found


@cache
def names_in(path: str) -> frozenset[str]:
    """The names of the test functions of a file."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(
        node.name
        for node in ast.walk(tree)
        if isinstance(node, functions) and node.name.startswith("test_")
    )


def missing(page: str) -> list[str]:
    """What is named and is not there."""
    return [
        f"{path}::{name}"
        for path, name in NAMED.findall(page)
        if not (ROOT / path).is_file() or name not in names_in(path)
    ]


def test_every_test_that_is_named_is_there() -> None:
    assert missing(PAGE) == []


@pytest.mark.parametrize(
    "renamed", ["tests/unit/docs/test_evidence.py::test_gone", "tests/no/file.py::test_x"]
)
def test_one_that_is_not_there_is_found(renamed: str) -> None:
    assert missing(f"| a | `{renamed}` | b |") == [renamed]


def test_every_row_names_a_test_and_what_it_looks_at() -> None:
    for section, cells in rows(PAGE):
        assert len(cells) == COLUMNS, (section, cells)
        assert NAMED.search(cells[1]), (section, cells)
        assert all(cells), (section, cells)
    assert [section for section, _ in rows(PAGE)], "the page has no rows"
