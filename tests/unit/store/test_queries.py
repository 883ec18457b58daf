import ast
from importlib.resources import files
from pathlib import Path

import pytest

from shared.store.queries import load, parse

AREAS = sorted(
    entry.name.removesuffix(".sql")
    for entry in files("shared.store").joinpath("sql").iterdir()
    if entry.name.endswith(".sql")
)
ROOT = Path(__file__).parents[3]
PRODUCT = ("shared", "functions", "relay")
SQL_RUNNERS = frozenset({"execute", "executemany", "all", "one", "value", "many", "copy"})
STATEMENT_WORDS = ("select ", "insert ", "update ", "delete ", "with ", "create ", "alter ")


@pytest.mark.parametrize("area", AREAS)
def test_every_file_of_queries_is_well_formed(area: str) -> None:
    assert [query.name for query in load(area)]


def test_a_query_is_named_and_says_what_it_is_for() -> None:
    found = parse("-- name: lock_it\n-- Take the row.\n-- For long.\nselect 1;\n", "area")
    assert found["lock_it"].purpose == "Take the row. For long."
    assert found["lock_it"].sql == "select 1"


@pytest.mark.parametrize(
    "text",
    [
        "select 1;",
        "-- name: bare\nselect 1;",
        "-- name: empty\n-- Purpose.\n",
        "-- name: twice\n-- One.\nselect 1;\n-- name: twice\n-- Two.\nselect 2;",
    ],
)
def test_a_file_that_is_not_well_formed_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"sql/area\.sql"):
        parse(text, "area")


def test_a_missing_query_is_named_in_the_error() -> None:
    with pytest.raises(AttributeError, match=r"sql/store\.sql has no statement named nowhere"):
        load("store").nowhere  # noqa: B018 - the access is what fails


def product_modules() -> list[Path]:
    return sorted(path for part in PRODUCT for path in (ROOT / part).rglob("*.py"))


@pytest.mark.parametrize("path", product_modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_no_statement_stands_in_or_is_built_by_code(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value.lower().lstrip()
            is_statement = text.startswith(STATEMENT_WORDS) and (" from " in text or "%(" in text)
            assert not is_statement, f"line {node.lineno}: SQL belongs into shared/store/sql"
        if isinstance(node, ast.Import | ast.ImportFrom) and "store" not in path.parts:
            names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            assert not any(name.startswith("psycopg") for name in names), "only the store may"
