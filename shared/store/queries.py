"""Named queries: every SQL statement stands in `sql/<area>.sql`, with a name and a purpose.

    -- name: lock_rollout
    -- Take the rollout's row, so that two pacers do not plan it at once.
    select … where tenant_id = %(tenant)s

Statements are read once per process. Nothing is ever put into their text: what varies is bound,
and a literal `%` is written `%%`. There is no way to build a statement at run time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import LiteralString, cast

_HEADER = re.compile(r"^-- name: (?P<name>[a-z][a-z0-9_]*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Query:
    """One statement. `purpose` is the comment under its name."""

    name: str
    purpose: str
    sql: LiteralString


class Queries:
    """The statements of one file, as attributes."""

    def __init__(self, area: str, queries: Mapping[str, Query]) -> None:
        self._area = area
        self._queries = queries

    def __getattr__(self, name: str) -> Query:
        try:
            return self._queries[name]
        except KeyError:
            raise AttributeError(f"sql/{self._area}.sql has no statement named {name}") from None

    def __iter__(self) -> Iterator[Query]:
        return iter(self._queries.values())


@cache
def load(area: str) -> Queries:
    """The statements of `sql/<area>.sql`. Raises ValueError for a file that is not well formed."""
    text = files("shared.store").joinpath("sql", f"{area}.sql").read_text(encoding="utf-8")
    return Queries(area, parse(text, area))


def parse(text: str, area: str) -> dict[str, Query]:
    """Split a file into its statements by name."""
    headers = list(_HEADER.finditer(text))
    if not headers:
        raise ValueError(f"sql/{area}.sql has no statement: each starts with '-- name: <name>'")
    ends = [*(header.start() for header in headers[1:]), len(text)]
    queries: dict[str, Query] = {}
    for header, end in zip(headers, ends, strict=True):
        query = _query(header["name"], text[header.end() : end].strip(), area)
        if query.name in queries:
            raise ValueError(f"sql/{area}.sql has two statements named {query.name}")
        queries[query.name] = query
    return queries


def _query(name: str, body: str, area: str) -> Query:
    lines = body.splitlines()
    comments = 0
    while comments < len(lines) and lines[comments].startswith("--"):
        comments += 1
    purpose = " ".join(line.removeprefix("--").strip() for line in lines[:comments])
    sql = "\n".join(lines[comments:]).strip().removesuffix(";")
    if not purpose or not sql:
        raise ValueError(f"sql/{area}.sql: {name} needs a comment of its purpose, and a statement")
    # The text is the program's own, read from its package: as literal as if it stood in the source.
    return Query(name, purpose, cast(LiteralString, sql))  # type: ignore[redundant-cast] # mypy takes it for str
