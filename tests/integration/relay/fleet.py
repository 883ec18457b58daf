"""Rows that registration would have made: tenants, clusters, and certificates for their keys."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import psycopg

from shared.services.cluster_key import ClusterKey

TENANT = "demo"


@dataclass(frozen=True)
class Enrolled:
    """A cluster that is registered."""

    key: ClusterKey
    serial: str


def add_tenant(owner_url: str, tenant: str = TENANT) -> None:
    with psycopg.connect(owner_url, autocommit=True) as connection:
        connection.execute(
            "insert into tenants (tenant_id) values (%s) on conflict do nothing", [tenant]
        )


def enrol(owner_url: str, count: int, tenant: str = TENANT) -> list[Enrolled]:
    """Clusters with a current certificate each."""
    add_tenant(owner_url, tenant)
    fleet = [Enrolled(ClusterKey(tenant, uuid4()), uuid4().hex) for _ in range(count)]
    with psycopg.connect(owner_url) as connection, connection.cursor() as cursor:
        with cursor.copy("copy clusters (tenant_id, cluster_id, name) from stdin") as copy:
            for each in fleet:
                copy.write_row((tenant, each.key.cluster_id, f"c-{each.key.cluster_id}"))
        for each in fleet:
            add_certificate(cursor, each.key, each.serial)
    return fleet


def add_certificate(
    cursor: psycopg.Cursor,
    key: ClusterKey,
    serial: str,
    *,
    state: str = "Current",
    not_after: datetime | None = None,
) -> None:
    now = datetime.now(UTC)
    cursor.execute(
        "insert into certificates (tenant_id, cluster_id, serial, sha256, public_key, pem_chain,"
        " ca, state, not_before, not_after) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        [key.tenant, key.cluster_id, serial, f"thumb-{serial}", b"spki", "pem", "first", state, now,
         not_after or now + timedelta(days=7)],
    )  # fmt: skip


def session_row(owner_url: str, key: ClusterKey) -> dict[str, object]:
    """The stored session."""
    return _row(owner_url, "select * from sessions where cluster_id = %s", key.cluster_id)


def cluster_row(owner_url: str, key: ClusterKey) -> dict[str, object]:
    """The stored cluster."""
    return _row(owner_url, "select * from clusters where cluster_id = %s", key.cluster_id)


def _row(owner_url: str, statement: str, cluster_id: UUID) -> dict[str, object]:
    with psycopg.connect(owner_url, row_factory=psycopg.rows.dict_row) as connection:
        row = connection.execute(statement, [cluster_id]).fetchone()
    assert row is not None
    return row
