"""Attacks by what is sent: bodies that are too large, too deep, of the wrong shape, compressed."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx

from functions.access import Who
from functions.edge.endpoint import Endpoint
from functions.registry import endpoints
from tests.attacks.attack import held, row
from tests.attacks.target import Target
from tests.joined_cluster import JoinedCluster
from tests.routes import NOWHERE, request_for

REFUSED = frozenset({400, 413, 415})
ALIASES = 24
GROWTH_BYTES = 128 * 1024 * 1024
ENDLESS_BYTES = 64 * 1024 * 1024
BOMB = gzip.compress(b" " * 10_000_000 + b"{}")
ON_EVERY_ROUTE = 3
CLOSED = 0


def bad_bodies(limit: int) -> Iterator[tuple[str, bytes, dict[str, str]]]:
    """What no route may take: name, content, headers."""
    yield "oversized", b'"' + b"x" * limit + b'"', {}
    yield "gzip", BOMB, {"Content-Encoding": "gzip"}
    yield "deep", b"[" * 30_000 + b"]" * 30_000, {}
    yield "deep objects", b'{"a":' * 100 + b"1" + b"}" * 100, {}
    for name, content in {
        "a list": b"[]",
        "a number": b"1",
        "a word": b'"x"',
        "half": b'{"a": ',
        "NaN": b'{"a": NaN}',
        "1e999": b'{"a": 1e999}',
        "5,000 digits": b'{"a": ' + b"9" * 5000 + b"}",
        "NUL": b'{"a": "\\u0000"}',
        "lone surrogate": b'{"a": "\\ud800"}',
        "twice": b'{"a": 1, "a": 2}',
        "no UTF-8": b'{"a": "\xff\xfe"}',
    }.items():
        yield name, content, {}
    yield "other type", b"<a/>", {"Content-Type": "application/xml"}


def tried_on(number: int, limit: int) -> Iterator[tuple[str, bytes, dict[str, str]]]:
    """What a route gets: the first of all, and every third of the rest in turn."""
    for place, each in enumerate(bad_bodies(limit)):
        if place < ON_EVERY_ROUTE or (place + number) % 3 == 0:
            yield each


def identity(endpoint: Endpoint, target: Target, agent: JoinedCluster) -> dict[str, str]:
    """The credential that the route wants."""
    match endpoint.rule.who:
        case Who.AGENT:
            return agent.bearer()
        case Who.PLATFORM:
            return target.bearer("platform")
        case Who.MEMBER:
            return target.bearer("admin")
        case _:
            return {}


@row(
    "any body",
    "oversized, deep, wrong types, compressed, NUL, lone surrogates, on every route with a body",
    expected="413, 415, 400; never 500",
)
async def bad_body_on_every_route(target: Target) -> str:
    agent = await target.enrolled()
    found: Counter[int] = Counter()
    wrong = {}
    async with target.from_elsewhere() as client:
        for number, endpoint in enumerate(each for each in endpoints() if each.body is not None):
            request = request_for(endpoint, NOWHERE)
            for why, content, headers in tried_on(number, endpoint.body_limit):
                answer = await client.request(
                    request.method,
                    request.path,
                    headers={**request.headers, **identity(endpoint, target, agent), **headers},
                    content=content,
                )
                found[answer.status_code] += 1
                # Registration is limited by address before a model is looked at.
                if answer.status_code not in REFUSED | {429 if "register" in request.path else 400}:
                    wrong[f"{endpoint.name}, {why}"] = answer.status_code
    seen = ", ".join(f"{count} × {status}" for status, count in sorted(found.items()))
    held(not wrong, f"{seen}; {wrong}")
    return seen


@row("any body", "64 MiB without an end in sight", expected="413; memory stays")
async def endless_body(target: Target) -> str:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(ENDLESS_BYTES // 65_536):
            yield b" " * 65_536

    before = target.memory_bytes("control-plane")
    headers = {"Content-Type": "application/json"}
    statuses = []
    for path in ("status", "register"):
        try:
            answer = await target.ask("POST", path, who=None, headers=headers, content=chunks())
            statuses.append(answer.status_code)
        except (httpx.WriteError, httpx.ReadError):
            statuses.append(CLOSED)  # it had heard enough before we had said it all
    growth = target.memory_bytes("control-plane") - before
    seen = f"{statuses}; the control plane grew {growth // 2**20} MiB"
    held(set(statuses) <= {413, 401, CLOSED} and growth < GROWTH_BYTES, seen)
    return seen


def bombs() -> Iterator[tuple[str, str]]:
    """YAML that would become much more than it is."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, ALIASES)]
    yield "aliases", "\n".join(lines)
    yield "one alias", "metadata: &m {name: web}\nspec: *m\n"
    yield "merge key", "metadata: {<<: {name: web}}\n"
    yield "depth", "[" * 20_000 + "]" * 20_000
    yield "depth of maps", "".join(f"{' ' * n}a:\n" for n in range(300))
    yield "tag", "metadata: !!python/object/apply:os.system ['true']\n"
    yield "two documents", "a: 1\n---\nb: 2\n"
    yield "huge number", f"a: {'9' * 100_000}\n"
    yield "date", "metadata: {name: 2026-01-01}\n"


@row("YAML upload", "aliases, depth, tags, merge keys", expected="400; memory stays")
async def yaml_bombs(target: Target) -> str:
    before = target.memory_bytes("control-plane")
    statuses: dict[str, Any] = {}
    for why, text in bombs():
        answer = await target.ask(
            "POST", "desired", headers={"Content-Type": "application/yaml"}, content=text
        )
        statuses[why] = answer.status_code
    growth = target.memory_bytes("control-plane") - before
    seen = f"{json.dumps(statuses)}; the control plane grew {growth // 2**20} MiB"
    held(set(statuses.values()) <= {400, 413} and growth < GROWTH_BYTES, seen)
    return seen
