"""Everything that one tenant's rollouts consist of, read at one moment as the database's owner."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import dict_row

from shared.contract.states import RolloutKind, RolloutState, TargetState
from shared.contract.strategy import RolloutStrategy

Row = dict[str, Any]


@lru_cache(maxsize=256)
def _strategy(text: str) -> RolloutStrategy:
    return RolloutStrategy.model_validate_json(text)


@dataclass(frozen=True)
class Snapshot:
    """Rows by their keys."""

    rollouts: dict[UUID, Row]
    stages: dict[tuple[UUID, int], Row]
    targets: dict[tuple[UUID, UUID], Row]
    assignments: dict[UUID, Row]
    revisions: dict[int, str]
    goods: dict[UUID, list[tuple[int, str]]]
    frozen: bool

    def strategy(self, rollout_id: UUID) -> RolloutStrategy:
        return _strategy(self.rollouts[rollout_id]["strategy"])

    def kind(self, rollout_id: UUID) -> RolloutKind:
        return RolloutKind(self.rollouts[rollout_id]["kind"])

    def active(self) -> list[UUID]:
        return [r for r, row in self.rollouts.items() if not RolloutState(row["state"]).is_over]

    def stages_of(self, rollout_id: UUID) -> list[Row]:
        return [row for (owner, _), row in self.stages.items() if owner == rollout_id]

    def targets_of(self, rollout_id: UUID) -> list[Row]:
        return [row for (owner, _), row in self.targets.items() if owner == rollout_id]


class Reader:
    """One connection that reads snapshots of any tenant."""

    def __init__(self, connection: psycopg.Connection[Row]) -> None:
        self._connection = connection

    @classmethod
    def open(cls, url: str) -> Reader:
        return cls(psycopg.connect(url, autocommit=True, row_factory=dict_row))

    def close(self) -> None:
        self._connection.close()

    def rows(self, statement: str, *params: Any) -> list[Row]:
        cursor = self._connection.execute(statement, params)  # type: ignore[arg-type] # literals of tests
        return cursor.fetchall() if cursor.description else []

    def snapshot(self, tenant: str) -> Snapshot:
        rollouts = self.rows(
            "select rollout_id, kind, state, revision, strategy::text as strategy, waiting_for,"
            " rollback_of, extension from rollouts where tenant_id = %s order by rollout_id",
            tenant,
        )
        stages = self.rows(
            "select * from rollout_stages where tenant_id = %s order by rollout_id, stage", tenant
        )
        targets = self.rows(
            "select * from rollout_targets where tenant_id = %s order by rollout_id, position",
            tenant,
        )
        assignments = self.rows("select * from assignments where tenant_id = %s", tenant)
        revisions = self.rows("select number, state from revisions where tenant_id = %s", tenant)
        goods: dict[UUID, list[tuple[int, str]]] = {}
        known = "select cluster_id, revision, spec_digest from known_good where tenant_id = %s"
        for row in self.rows(known, tenant):
            goods.setdefault(row["cluster_id"], []).append((row["revision"], row["spec_digest"]))
        frozen = self.rows("select 1 from freezes where tenant_id = %s", tenant)
        return Snapshot(
            {row["rollout_id"]: row for row in rollouts},
            {(row["rollout_id"], row["stage"]): row for row in stages},
            {(row["rollout_id"], row["cluster_id"]): row for row in targets},
            {row["cluster_id"]: row for row in assignments},
            {row["number"]: row["state"] for row in revisions},
            goods,
            bool(frozen),
        )


def is_in_flight(target: Row) -> bool:
    return TargetState(target["state"]).is_in_flight


def is_failure(target: Row) -> bool:
    return TargetState(target["state"]).is_failure
