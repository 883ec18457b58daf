"""The rollout engine on real Postgres and Redis.

Agents are simulated: they answer through `status.ingest` as soon as they are released. Beside each
figure stands what the same rows cost as bare statements of one transaction, in the same run.
"""

from __future__ import annotations

import asyncio
import resource
import statistics
import time
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import dict_row

from bench.figures import Figure
from bench.plane import TENANT, Plane, connect_clusters, fill_tenant, now, plane
from shared.contract.extension import ExtensionManifest
from shared.contract.status import StatusBatch, StatusEvent
from shared.services import pacer, publish, status
from shared.services.caller import Caller
from shared.services.ids import new_id

OPERATOR = Caller(actor="person:bench", tenant=TENANT)
ROUNDS = 5
ANSWERING_AT_ONCE = 8


def run() -> list[Figure]:
    """Every figure of the engine."""
    return asyncio.run(_run())


async def _run() -> list[Figure]:
    async with plane() as found:
        figures = [*await _edit(found, 1_000, "thousand")]
        larger = await _edit(found, 10_000, "tenthousand", limits=False)
        growth = larger[0].value / figures[0].value
        figures += [*larger, Figure("time for ten times the clusters", growth, "x", limit=12.0)]
        figures.append(await _progressive(found))
        figures += await _ticks(found)
        figures.append(await _fairness(found))
    return figures


def _manifest(
    name: str, label: str, version: int, stages: list[dict[str, Any]]
) -> ExtensionManifest:
    return ExtensionManifest.model_validate(
        {
            "metadata": {"name": name},
            "spec": {
                "placement": {"matchLabels": {"bench": label}},
                "source": {
                    "helm": {
                        "repo": "oci://bench.test/x",
                        "chart": "x",
                        "version": f"{version}.0.0",
                    }
                },
                "namespace": "default",
                "values": {"replicas": 2},
                "overrides": [{"match": {"matchLabels": {"ring": "a"}}, "values": {"replicas": 3}}],
                "rollout": {
                    "stages": stages,
                    "pace": {"perMinute": 1_000_000, "burst": 100_000},
                },
            },
        }
    )


ALL_AT_ONCE = [{"name": "all", "maxConcurrent": "100%", "soak": "0s"}]
TENTHS = [{"name": "all", "maxConcurrent": "10%", "soak": "0s"}]


async def _edit(found: Plane, count: int, label: str, *, limits: bool = True) -> list[Figure]:
    """One edit, released to every cluster at once: from the call to the last row committed."""
    connect_clusters(found, count, label)
    await publish.publish(found, OPERATOR, _manifest(label, label, 1, ALL_AT_ONCE))
    await _until_released(found, label, 1, count)
    walls, cpus, bare, bare_cpus = [], [], [], []
    for number in range(2, 2 + ROUNDS):
        await fill_tenant(found)
        cpu, start = found.cpu_seconds(), time.perf_counter()
        await publish.publish(found, OPERATOR, _manifest(label, label, number, ALL_AT_ONCE))
        await _until_released(found, label, number, count)
        walls.append(time.perf_counter() - start)
        cpus.append(found.cpu_seconds() - cpu)
    for _ in range(ROUNDS):  # after, not between: what is rolled back leaves dead rows behind
        cpu = found.cpu_seconds()
        bare.append(await asyncio.to_thread(_bare_edit, found, label))
        bare_cpus.append(found.cpu_seconds() - cpu)
        await _tidy(found)
    name = f"edit released to {count:,} clusters at once"
    return [
        Figure(
            name, statistics.median(walls), "s", 0.3 if limits else None, statistics.median(bare)
        ),
        Figure(
            f"{name}: CPU with Postgres",
            statistics.median(cpus),
            "s",
            1.0 if limits else None,
            statistics.median(bare_cpus),
        ),
    ]


async def _until_released(found: Plane, extension: str, revision: int, count: int) -> None:
    """Tick until all are out: a tenant's bucket may hold fewer tokens than there are clusters."""
    for _ in range(1_000):
        async with found.db.platform() as tx:
            row = await tx.one(_COUNT, tenant=TENANT, extension=extension, revision=revision)
        if row is not None and row["released"] == count:
            return
        await fill_tenant(found)
        await pacer.tick(found)
    raise AssertionError("the edit was not released")


def _bare_edit(found: Plane, extension: str) -> float:
    """The rows that an edit writes, by bare statements in one transaction that is taken back."""
    rollout = new_id()
    with psycopg.connect(found.owner_url) as connection:
        rows = connection.execute(
            "select cluster_id from assignments where extension = %s", [extension]
        ).fetchall()
        ids = [row[0] for row in rows]
        start = time.perf_counter()
        connection.execute(
            "insert into rollouts (tenant_id, rollout_id, extension, kind, strategy, created_by,"
            " state) values (%s, %s, %s, 'publish', '{}', 'bench', 'Succeeded')",
            [TENANT, rollout, extension],
        )
        connection.execute(
            "insert into rollout_targets (tenant_id, rollout_id, cluster_id, stage, position,"
            " goal_revision, goal_digest)"
            " select %s, %s, id, 0, n, 1, 'd' from unnest(%s::uuid[]) with ordinality t(id, n)",
            [TENANT, rollout, ids],
        )
        connection.execute(
            "update rollout_targets set state = 'Released', released_at = now()"
            " where rollout_id = %s",
            [rollout],
        )
        connection.execute(
            "update assignments set generation = generation + 1, rollout_id = %s"
            " where extension = %s",
            [rollout, extension],
        )
        connection.execute(
            "insert into outbox (tenant_id, cluster_id, topic)"
            " select %s, id, 'desired' from unnest(%s::uuid[]) t(id)",
            [TENANT, ids],
        )
        took = time.perf_counter() - start
        connection.rollback()
    return took


async def _tidy(found: Plane) -> None:
    """What is rolled back leaves dead rows behind."""
    with psycopg.connect(found.owner_url, autocommit=True) as connection:
        await asyncio.to_thread(connection.execute, "vacuum analyze")


async def _progressive(found: Plane) -> Figure:
    """10 % at a time over 1,000 clusters whose agents answer at once, each with its own report."""
    await _tidy(found)  # sixty thousand dead rows of the edits before; a site has its autovacuum
    await fill_tenant(found)
    start = time.perf_counter()
    made = await publish.publish(found, OPERATOR, _manifest("tenths", "thousand", 1, TENTHS))
    answered: set[UUID] = set()
    places = asyncio.Semaphore(ANSWERING_AT_ONCE)
    sequences: dict[UUID, int] = {}
    while len(answered) < 1_000:
        async with found.db.platform() as tx:
            rows = await tx.all(_RELEASED, tenant=TENANT, rollout=made.rollout_id)
        fresh = [row for row in rows if row["cluster_id"] not in answered]
        answered |= {row["cluster_id"] for row in fresh}
        await asyncio.gather(*(_answer(found, row, places, sequences) for row in fresh))
        if not fresh:
            await pacer.tick(found)
    took = time.perf_counter() - start
    return Figure(
        "progressive, 10 % of 1,000, agents answer at once",
        took,
        "s",
        limit=3.0,
        bare=await asyncio.to_thread(_bare_reports, found),
    )


async def _answer(
    found: Plane, row: dict[str, Any], places: asyncio.Semaphore, sequences: dict[UUID, int]
) -> None:
    cluster_id = row["cluster_id"]
    sequences[cluster_id] = sequences.get(cluster_id, 0) + 1
    event = StatusEvent(
        id=new_id(),
        sequence=sequences[cluster_id],
        occurred_at=now(),
        extension=row["extension"],
        phase="Ready",
        revision=row["revision"],
        spec_digest=row["spec_digest"],
        rollout_id=row["rollout_id"],
        observed_generation=row["generation"],
        reason="UpgradeSucceeded",
    )
    caller = Caller(actor=f"cluster:{cluster_id}", tenant=TENANT, cluster_id=cluster_id)
    async with places:
        await status.ingest(found, caller, StatusBatch(session_epoch=1, events=(event,)))


def _bare_reports(found: Plane) -> float:
    """A thousand transactions of one session's read, one assignment's update and one event."""
    with psycopg.connect(found.owner_url, row_factory=dict_row) as connection:
        rows = connection.execute(
            "select cluster_id from assignments where extension = 'thousand'"
        ).fetchall()
        connection.commit()
        start = time.perf_counter()
        for row in rows:
            key = [row["cluster_id"]]
            connection.execute("select epoch from sessions where cluster_id = %s", key)
            connection.execute(
                "update assignments set message = 'bench'"
                " where cluster_id = %s and extension = 'thousand'", key,
            )  # fmt: skip
            connection.execute(
                "insert into status_events (tenant_id, cluster_id, event_id, epoch, sequence, body)"
                " values ('bench', %s, gen_random_uuid(), 1, 1, '{}')", key,
            )  # fmt: skip
            connection.commit()
        return time.perf_counter() - start


async def _ticks(found: Plane) -> list[Figure]:
    """A look at a rollout of 10,000 with 1,000 in flight: at its start, and with 9,000 done."""
    label = "tenthousand"
    made = await publish.publish(found, OPERATOR, _manifest("ticks", label, 1, TENTHS))
    fresh = await _timed_ticks(found, made.rollout_id)
    bare = await asyncio.to_thread(_bare_tick, found, made.rollout_id)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with psycopg.connect(found.owner_url) as connection:
        connection.execute(
            "update rollout_targets set state = 'Succeeded', released_at = now()"
            " where rollout_id = %s and position < 9000", [made.rollout_id],
        )  # fmt: skip
        connection.execute(
            "update rollout_stages set succeeded = 9000, to_apply = 1000, in_flight = 0"
            " where rollout_id = %s", [made.rollout_id],
        )  # fmt: skip
        connection.commit()
    await fill_tenant(found)
    await pacer.tick_rollout(found, TENANT, made.rollout_id)
    done = await _timed_ticks(found, made.rollout_id)
    bare_done = await asyncio.to_thread(_bare_tick, found, made.rollout_id)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) / 1024
    return [
        Figure("tick over 10,000 clusters", fresh * 1000, "ms", 250.0, bare * 1000),
        Figure("the same with 9,000 of them done", done * 1000, "ms", 250.0, bare_done * 1000),
        Figure("time with 9,000 done over time at the start", done / fresh, "x", limit=1.5),
        Figure("memory grown meanwhile", grown, "MB", limit=16.0),
    ]


async def _timed_ticks(found: Plane, rollout_id: UUID) -> float:
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        await pacer.tick_rollout(found, TENANT, rollout_id)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def _bare_tick(found: Plane, rollout_id: UUID | None) -> float:
    """What is in flight with what its agents said, the next to release, and one row written."""
    times = []
    with psycopg.connect(found.owner_url, row_factory=dict_row) as connection:
        for _ in range(ROUNDS):
            start = time.perf_counter()
            connection.execute(
                "select * from rollouts where rollout_id = %s for no key update", [rollout_id]
            ).fetchall()
            connection.execute(
                "select t.*, c.state, a.* from rollout_targets t"
                " join clusters c using (tenant_id, cluster_id)"
                " left join assignments a using (tenant_id, cluster_id)"
                " where t.rollout_id = %s and t.state in ('Released', 'Applying', 'Verifying')"
                " and a.extension = 'ticks'", [rollout_id],
            ).fetchall()  # fmt: skip
            connection.execute(
                "select t.* from rollout_targets t where t.rollout_id = %s and t.state = 'ToApply'"
                " order by t.position limit 1000", [rollout_id],
            ).fetchall()  # fmt: skip
            connection.execute(
                "update rollouts set planned_at = now() where rollout_id = %s", [rollout_id]
            )
            connection.commit()
            times.append(time.perf_counter() - start)
    return statistics.median(times)


async def _fairness(found: Plane) -> Figure:
    """100 rollouts at once: the share of them that one tick leaves without a release."""
    clusters = 10
    connect_clusters(found, clusters, "shared")
    made = []
    for number in range(100):
        manifest = _manifest(f"x{number:02}", "shared", 1, [{"name": "s", "maxConcurrent": 1}])
        made.append(await publish.publish(found, OPERATOR, manifest))
    await pacer.tick(found)
    async with found.db.platform() as tx:
        rows = [await tx.all(_RELEASED, tenant=TENANT, rollout=one.rollout_id) for one in made]
    return Figure(
        "100 rollouts at once: without a release after one tick",
        float(sum(not row for row in rows)),
        "",
        limit=0.0,
    )


def _query(name: str, sql: str) -> Any:
    from shared.store.queries import Query

    return Query(name, "for the benchmark", sql)  # type: ignore[arg-type] # a literal of this module


_COUNT = _query(
    "count",
    "select count(*) as released from assignments where tenant_id = %(tenant)s"
    " and extension = %(extension)s and revision = %(revision)s",
)
_RELEASED = _query(
    "released",
    "select cluster_id, extension, revision, spec_digest, rollout_id, generation from assignments"
    " where tenant_id = %(tenant)s and rollout_id = %(rollout)s",
)
