"""Sends mutants to a running control plane, and watches it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import httpx

from functions.access import Who
from functions.edge.endpoint import Endpoint
from functions.registry import endpoints
from tests.joined_cluster import JoinedCluster
from tests.mutations.mutate import Mutant, mutate
from tests.routes import NOWHERE, request_for

AT_ONCE = 6
"""Fewer than the pool has connections: waiting for one would be our own doing."""
WARM_UP = 0.25
"""The part of the requests after which the host's memory is measured for the first time."""
LIVE = 0.7
"""How often a request is about things that exist."""
KEPT = frozenset({"clusters_delete", "clusters_revoke", "extensions_delete"})
"""Never about things that exist: they are what the others ask for."""


@dataclass(frozen=True)
class Credentials:
    """Who sends what."""

    admin: dict[str, str]
    platform: dict[str, str]
    agent: JoinedCluster

    def of(self, endpoint: Endpoint) -> dict[str, str]:
        """What the route wants: nothing but the mutation is wrong with the request."""
        match endpoint.rule.who:
            case Who.MEMBER:
                return self.admin
            case Who.PLATFORM:
                return self.platform
            case Who.AGENT:
                return self.agent.bearer()
            case _:
                return {}


@dataclass
class Findings:
    """What came of it."""

    seed: int
    sent: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    """Requests that were answered 5xx, or not at all."""
    warm_bytes: int = 0
    end_bytes: int = 0

    @property
    def growth(self) -> float:
        """How much more memory the host had at the end, as a part of that after the warm-up."""
        return self.end_bytes / self.warm_bytes - 1 if self.warm_bytes else 0.0

    def told(self) -> str:
        """All of it in one line."""
        counts = ", ".join(f"{n} × {status}" for status, n in sorted(self.statuses.items()))
        memory = f"{self.warm_bytes / 2**20:.0f} -> {self.end_bytes / 2**20:.0f} MiB"
        return f"seed {self.seed}: {self.sent} requests, {counts}; memory {memory}"


def mutants(seed: int, count: int, known: dict[str, str]) -> Iterator[tuple[Endpoint, Mutant]]:
    """So many requests; the routes take turns."""
    random = Random(seed)  # noqa: S311 - to be repeated, not to be secret
    routes = endpoints()
    for number in range(count):
        endpoint = routes[number % len(routes)]
        about_what_is = (
            endpoint.name not in KEPT
            and endpoint.rule.who is not Who.PLATFORM
            and random.random() < LIVE
        )
        things = known if about_what_is else NOWHERE
        origin = request_for(endpoint, things, query=random.random() < 0.5)
        yield endpoint, mutate(origin, random)


async def send_all(
    client: httpx.AsyncClient,
    credentials: Credentials,
    *,
    known: dict[str, str],
    pid: int,
    seed: int,
    count: int,
    tell: Callable[[Findings], None] = lambda _: None,
) -> Findings:
    """Send them, some at once, and say what was answered. `tell` hears of every hundredth part."""
    found = Findings(seed)
    waiting = mutants(seed, count, known)
    step = max(1, count // 100)

    async def sender() -> None:
        for endpoint, mutant in waiting:
            await _send(client, credentials.of(endpoint), mutant, found)
            if found.sent == int(count * WARM_UP):
                found.warm_bytes = resident_bytes(pid)
            if found.sent % step == 0:
                tell(found)

    await asyncio.gather(*(sender() for _ in range(AT_ONCE)))
    found.end_bytes = resident_bytes(pid)
    return found


async def _send(
    client: httpx.AsyncClient, identity: dict[str, str], mutant: Mutant, found: Findings
) -> None:
    headers = [*identity.items(), *mutant.headers]
    encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    what = f"{mutant.origin.function} ({', '.join(mutant.how)}): {mutant.method} {mutant.target}"
    found.sent += 1
    try:
        url = httpx.URL(client.base_url).copy_with(raw_path=mutant.target.encode("ascii"))
        answer = await client.request(mutant.method, url, headers=encoded, content=mutant.content)
    except (httpx.LocalProtocolError, httpx.InvalidURL):
        found.statuses[0] += 1  # not HTTP: our own library would not send it
        return
    except httpx.HTTPError as error:
        found.failures.append(f"{what[:300]} -> {error!r}")
        return
    found.statuses[answer.status_code] += 1
    if answer.status_code >= 500:
        found.failures.append(f"{what[:300]} -> {answer.status_code} {answer.text[:200]}")


def resident_bytes(pid: int) -> int:
    """Resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("a process without memory")
