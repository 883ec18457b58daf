"""Attacks on the database: through every text field and filter, and with the app's own login."""

from __future__ import annotations

from collections import Counter
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
from pydantic import BaseModel

from dev.stack.database import LOGIN
from functions.access import Who
from functions.edge.endpoint import Endpoint
from functions.registry import endpoints
from tests.attacks.attack import held, row
from tests.attacks.target import Target
from tests.routes import NOWHERE, request_for

PAYLOADS = (
    "'; drop table clusters; --",
    "' or '1'='1",
    "\\'; select pg_sleep(60); --",
    "%' or name like '%",
    "$$; delete from events; $$",
    '{"a": "\'::jsonb || \'"}',
)


def text_fields(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where the texts of a document are."""
    if isinstance(value, str):
        return [path]
    if isinstance(value, dict):
        return [found for key, item in value.items() for found in text_fields(item, (*path, key))]
    if isinstance(value, list):
        return [found for n, item in enumerate(value) for found in text_fields(item, (*path, n))]
    return []


def replaced(value: Any, path: tuple[Any, ...], text: str) -> Any:
    """A copy of a document with another text at one place."""
    if not path:
        return text
    copy = list(value) if isinstance(value, list) else dict(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], text)
    return copy


def queries(endpoint: Endpoint) -> list[str]:
    """The names of a route's filters, as they stand in a URL."""
    model = endpoint.hints.get("query")
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return []
    return [field.alias or name for name, field in model.model_fields.items()]


async def tables(target: Target) -> dict[str, int]:
    """Rows by table, of those that no timer and no agent writes meanwhile."""
    names = ("tenants", "bootstrap_tokens", "certificates", "event_heads", "freezes")
    found = {}
    for name in names:
        statement = psycopg.sql.SQL("select count(*) as n from {}").format(
            psycopg.sql.Identifier(name)
        )
        found[name] = (await target.sql(statement.as_string()))[0]["n"]  # type: ignore[arg-type] # made of constants
    return found


@row(
    "database",
    "injection in every text field and filter of every route",
    expected="bound: 4xx or no match",
)
async def injected(target: Target) -> str:
    found: Counter[int] = Counter()
    wrong = {}
    before = await target.sql("select count(*) as n from clusters")
    for endpoint in endpoints():
        if endpoint.rule.who not in (Who.MEMBER, Who.PLATFORM):
            continue
        headers = target.bearer("platform" if endpoint.rule.who is Who.PLATFORM else "reader")
        request = request_for(endpoint, NOWHERE)
        tries: list[dict[str, Any]] = [
            {"params": {name: payload}, "content": request.content}
            for name in queries(endpoint)
            for payload in PAYLOADS[:2]
        ]
        if request.body is not None and endpoint.rule.who is Who.MEMBER:
            headers = target.bearer("admin")
            tries += [
                {"json": replaced(request.body, path, PAYLOADS[number % len(PAYLOADS)])}
                for number, path in enumerate(text_fields(request.body))
            ]
        for more in tries:
            answer = await target.http.request(
                request.method, request.path, headers={**headers, **request.headers}, **more
            )
            found[answer.status_code] += 1
            if answer.status_code >= 500:  # a sleep that was run would end as 503
                wrong[endpoint.name] = f"{answer.status_code}: {more}"
    after = await target.sql("select count(*) as n from clusters")
    seen = ", ".join(f"{count} × {status}" for status, count in sorted(found.items()))
    held(not wrong, f"{seen}; {wrong}")
    held(after[0]["n"] >= before[0]["n"], f"{seen}; {before} clusters became {after}")
    return f"{seen}; SQL is literal: basedpyright in make lint"


@row(
    "database",
    "the application's own login: other tenants, the audit trail, the schema",
    expected="row level security and rights refuse",
)
async def with_the_login(target: Target) -> str:
    password = (target.stack.settings.state / "login.password").read_text()
    parts = urlsplit(target.owner_url)
    address = parts.netloc.rpartition("@")[2]
    url = urlunsplit(parts._replace(netloc=f"{LOGIN}:{password}@{address}"))
    tries = {
        "no role": "select count(*) from clusters",
        "no tenant": "set role arcbridge_app; select count(*) from clusters",
        "change the trail": "set role arcbridge_app; update events set message = 'x'",
        "cut the trail": "set role arcbridge_platform; delete from events",
        "empty the trail": "set role arcbridge_platform; truncate events",
        "lift the policy": "set role arcbridge_app; alter table events disable row level security",
        "become the owner": "set role postgres",
        "read a file": "select pg_read_file('/etc/passwd')",
        "run a program": "copy (select 1) to program 'true'",
        "more rights": "alter role arcbridge_app bypassrls",
    }
    ends = {}
    for why, statement in tries.items():
        async with await psycopg.AsyncConnection.connect(
            url, autocommit=True, connect_timeout=10
        ) as connection:
            try:
                cursor = await connection.execute(statement)  # type: ignore[call-overload] # constants of ours
                while cursor.nextset():
                    pass
                rows = await cursor.fetchall()
                ends[why] = f"{rows[0][0]} rows" if rows else "done"
            except psycopg.Error as error:
                ends[why] = type(error).__name__
    seen = ", ".join(f"{why}: {end}" for why, end in ends.items())
    held(ends.pop("no tenant") == "0 rows", seen)
    held(set(ends.values()) == {"InsufficientPrivilege"}, seen)
    return seen
