"""A fleet without Kubernetes: clusters as rows, and agents that answer through status.ingest.

Only the agents are simulated; every statement runs on real Postgres, every token is real Redis's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import dict_row
from redis.asyncio import Redis

from shared.contract.errors import ErrorCode
from shared.contract.extension import ExtensionManifest
from shared.contract.states import ExtensionPhase, Role
from shared.contract.status import StatusBatch, StatusEvent
from shared.domain.errors import ArcBridgeError
from shared.services import pacer, status
from shared.services.caller import Caller
from shared.services.ids import new_id
from shared.store.database import Database

TENANT = "demo"
OPERATOR = Caller(actor="person:test", tenant=TENANT, roles=frozenset({Role.OPERATOR}))
FAST = {"perMinute": 60_000, "burst": 10_000}


class Clock:
    """The real time, moved on by the test."""

    def __init__(self) -> None:
        self.offset = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.offset

    def advance(self, **by: float) -> None:
        self.offset += timedelta(**by)


@dataclass(frozen=True)
class Plane:
    """What the services of this test stand on."""

    db: Database
    redis: Redis
    clock: Clock


Outcome = Callable[[str, str], ExtensionPhase | None]
"""(cluster, digest) -> how applying it ends; None: never a word."""


def always_ready(cluster: str, digest: str) -> ExtensionPhase | None:
    return ExtensionPhase.READY


@dataclass
class Fleet:
    """Clusters and their agents."""

    plane: Plane
    owner_url: str
    names: dict[UUID, str] = field(default_factory=dict)
    sequences: dict[UUID, int] = field(default_factory=dict)
    outcome: Outcome = always_ready
    answered: dict[tuple[UUID, str], int] = field(default_factory=dict)

    def sql(self, statement: str, *params: Any) -> list[dict[str, Any]]:
        """Look behind the application, as the database's owner."""
        with psycopg.connect(self.owner_url, autocommit=True, row_factory=dict_row) as connection:
            cursor = connection.execute(statement, params)  # type: ignore[arg-type] # literals of tests
            return cursor.fetchall() if cursor.description else []

    def connect(self, *names: str, labels: Mapping[str, str] | None = None) -> list[UUID]:
        """Register clusters that are connected."""
        self.sql("insert into tenants (tenant_id) values (%s) on conflict do nothing", TENANT)
        made = [new_id() for _ in names]
        with psycopg.connect(self.owner_url, autocommit=True) as connection:
            cursor = connection.cursor()
            cursor.executemany(
                "insert into clusters (tenant_id, cluster_id, name, labels, state)"
                " values (%s, %s, %s, %s, 'Connected')",
                [
                    (TENANT, cluster_id, name, psycopg.types.json.Jsonb(dict(labels or {})))
                    for cluster_id, name in zip(made, names, strict=True)
                ],
            )
            cursor.executemany(
                "insert into sessions (tenant_id, cluster_id, epoch, last_heartbeat)"
                " values (%s, %s, 1, now())",
                [(TENANT, cluster_id) for cluster_id in made],
            )
        self.names |= dict(zip(made, names, strict=True))
        return made

    def id_of(self, name: str) -> UUID:
        return next(cluster_id for cluster_id, known in self.names.items() if known == name)

    def set_state(self, name: str, state: str, silent_for: timedelta = timedelta()) -> None:
        self.sql("update clusters set state = %s where name = %s", state, name)
        self.sql(
            "update sessions set last_heartbeat = %s where cluster_id = %s",
            self.plane.clock() - silent_for,
            self.id_of(name),
        )

    def assignments(self) -> dict[str, tuple[int, bool]]:
        """Cluster -> (revision, absent) as desired."""
        rows = self.sql("select cluster_id, revision, absent from assignments")
        return {self.names[row["cluster_id"]]: (row["revision"], row["absent"]) for row in rows}

    def agent(self, cluster_id: UUID) -> Caller:
        return Caller(actor=f"cluster:{cluster_id}", tenant=TENANT, cluster_id=cluster_id)

    async def answer(self) -> int:
        """Every agent that has something new to say says it; the number of reports."""
        rows = self.sql(
            "select a.* from assignments a join clusters c using (tenant_id, cluster_id)"
            " where c.state = 'Connected'"
        )
        sent = 0
        for row in rows:
            key = (row["cluster_id"], row["extension"])
            if self.answered.get(key) == row["generation"]:
                continue
            phase = self.outcome(self.names[row["cluster_id"]], row["spec_digest"])
            if row["absent"] and phase is ExtensionPhase.READY:
                phase = ExtensionPhase.REMOVED
            if phase is None:
                continue
            self.answered[key] = row["generation"]
            await self.report(row, phase)
            sent += 1
        return sent

    async def report(
        self, row: Mapping[str, Any], phase: ExtensionPhase, *, epoch: int = 1, **changes: Any
    ) -> None:
        """One report of one assignment."""
        await status.ingest(
            self.plane,
            self.agent(row["cluster_id"]),
            StatusBatch(session_epoch=epoch, events=(self.event(row, phase, **changes),)),
        )

    def event(self, row: Mapping[str, Any], phase: ExtensionPhase, **changes: Any) -> StatusEvent:
        sequence = self.sequences[row["cluster_id"]] = self.sequences.get(row["cluster_id"], 0) + 1
        reasons = {
            ExtensionPhase.READY: "UpgradeSucceeded",
            ExtensionPhase.REMOVED: "UninstallSucceeded",
            ExtensionPhase.FAILED: "UpgradeFailed",
            ExtensionPhase.APPLYING: "Progressing",
        }
        return StatusEvent.model_validate(
            {
                "id": new_id(),
                "sequence": sequence,
                "occurredAt": self.plane.clock(),
                "extension": row["extension"],
                "phase": phase,
                "revision": row["revision"],
                "specDigest": row["spec_digest"],
                "rolloutId": row["rollout_id"],
                "observedGeneration": row["generation"],
                "reason": reasons[phase],
                **changes,
            }
        )

    async def run(self, rounds: int = 40, step: timedelta = timedelta(0)) -> None:
        """Agents answer and the pacer ticks until nothing is left to do."""
        for _ in range(rounds):
            self.plane.clock.offset += step
            try:
                await pacer.tick(self.plane)
            except ArcBridgeError as error:
                if error.code is not ErrorCode.UNAVAILABLE:
                    raise
            await self.answer()
            if not self.sql(
                "select 1 from rollouts where state in"
                " ('Pending','Running','AwaitingApproval','RollingBack') limit 1"
            ):
                return

    def rollouts(self) -> list[dict[str, Any]]:
        return self.sql("select * from rollouts order by rollout_id")

    def targets(self, rollout_id: UUID) -> dict[str, str]:
        rows = self.sql("select * from rollout_targets where rollout_id = %s", rollout_id)
        return {self.names[row["cluster_id"]]: row["state"] for row in rows}


def manifest(
    name: str = "app",
    version: str = "1.0.0",
    rollout: Mapping[str, Any] | None = None,
    **spec: Any,
) -> ExtensionManifest:
    """A Helm extension for every cluster that releases as fast as its stages allow."""
    strategy = {"stages": [{"name": "all", "maxConcurrent": "100%", "soak": "0s"}], "pace": FAST}
    return ExtensionManifest.model_validate(
        {
            "metadata": {"name": name},
            "spec": {
                "placement": {},
                "source": {
                    "helm": {"repo": "oci://charts.test/x", "chart": name, "version": version}
                },
                "namespace": "default",
                "rollout": {**strategy, **(rollout or {})},
                **spec,
            },
        }
    )
