"""Correcting drift on many clusters, paced by real tokens."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from psycopg.types.json import Jsonb

from shared.contract.cluster import CorrectionsAsked, DriftAction, DriftCorrection
from shared.contract.errors import ErrorCode
from shared.contract.reasons import ReasonCode
from shared.contract.states import ExtensionPhase
from shared.domain.errors import ArcBridgeError
from shared.services import corrections, desired, drift, pacer, publish
from shared.services.ids import new_id
from tests.integration.engine.fleet import FAST, OPERATOR, TENANT, Fleet, manifest

SLOW = {"perMinute": 1, "burst": 3}


async def drifted(fleet: Fleet, *names: str, pace: dict[str, Any], **labels: str) -> None:
    """Clusters on which an extension runs, and differs."""
    fleet.connect(*names, labels=labels)
    await publish.publish(fleet.plane, OPERATOR, manifest(rollout={"pace": FAST}))
    await fleet.run()
    await publish.publish(fleet.plane, OPERATOR, manifest(rollout={"pace": pace}))
    await fleet.run()
    drift_again(fleet, *names)


def drift_again(fleet: Fleet, *names: str) -> None:
    difference = {
        "kind": "changed", "apiVersion": "v1", "objectKind": "ConfigMap", "name": "web",
        "path": "/data/a", "desired": "1", "observed": "2", "managers": ["kubectl-edit"],
        "firstSeen": fleet.plane.clock().isoformat(),
    }  # fmt: skip
    for name in names:
        fleet.sql(
            "insert into drifts (tenant_id, drift_id, cluster_id, extension, kind, revision, since,"
            " differences) values (%s, %s, %s, 'app', 'manifest', 1, now(), %s)",
            TENANT, new_id(), fleet.id_of(name), Jsonb([difference]),
        )  # fmt: skip


async def ask(fleet: Fleet, **request: Any) -> CorrectionsAsked:
    chosen = DriftCorrection(**{"extension": "app", **request})
    return await corrections.ask(fleet.plane, OPERATOR, chosen)


async def fill(fleet: Fleet, tokens: int) -> None:
    """As after some time without corrections."""
    key = f"ab:pace:{{{TENANT}}}:correct:app"
    seconds, micros = await fleet.plane.redis.time()
    missing = (SLOW["burst"] - tokens) * 60_000_000
    level = {"f": str(seconds * 1_000_000 + micros + missing), "i": "60000000"}
    await fleet.plane.redis.hset(key, mapping=level)  # type: ignore[misc] # redis-py's stubs


def asked(fleet: Fleet) -> dict[str, int]:
    rows = fleet.sql("select cluster_id, correction from assignments")
    return {fleet.names[row["cluster_id"]]: row["correction"] for row in rows}


async def test_as_many_go_out_as_there_are_tokens_and_the_others_say_what_they_wait_for(
    fleet: Fleet,
) -> None:
    await drifted(fleet, "a", "b", "c", "d", "e", pace=SLOW)
    fleet.sql("delete from outbox")
    await fill(fleet, 2)
    answer = await ask(fleet, reason="after the incident")
    assert (answer.asked, answer.waiting) == (5, 3)
    assert sum(asked(fleet).values()) == 2
    shown = (await drift.list_drifts(fleet.plane, OPERATOR)).items  # type: ignore[arg-type] # a plane
    assert [each.correcting for each in shown].count(True) == 2
    waiting = [each.waiting_for for each in shown if each.waiting_for]
    assert len(waiting) == 3
    assert {(w.reason, w.since is not None) for w in waiting} == {(ReasonCode.PACED, True)}
    await pacer.tick(fleet.plane)
    assert sum(asked(fleet).values()) == 2, "no token came in meanwhile"
    await fill(fleet, 3)
    await pacer.tick(fleet.plane)
    assert asked(fleet) == dict.fromkeys("abcde", 1)
    told = fleet.sql(
        "select action, actor from events where action like 'drift.correct%%' order by sequence"
    )
    assert [(row["action"], row["actor"]) for row in told] == [
        ("drift.correct_many", "person:test"),
        *[("drift.correct", "system:rollout_pacer")] * 5,
    ]


async def test_a_lost_redis_corrects_nothing_before_its_time(fleet: Fleet) -> None:
    await drifted(fleet, "a", "b", pace=SLOW)
    await fill(fleet, 3)
    await fleet.plane.redis.flushall()
    answer = await ask(fleet)
    assert (answer.asked, answer.waiting) == (2, 2)
    await pacer.tick(fleet.plane)
    assert sum(asked(fleet).values()) == 0


async def test_only_the_chosen_clusters_and_none_of_them_twice(fleet: Fleet) -> None:
    await drifted(fleet, "a", "b", pace=SLOW, env="prod")
    fleet.sql("update clusters set labels = '{}' where name = 'b'")
    await fill(fleet, 3)
    for again in (1, 0):
        answer = await ask(fleet, labels="env=prod")
        assert (answer.asked, answer.waiting) == (again, 0)
    assert asked(fleet) == {"a": 1, "b": 0}
    document = await desired.document(fleet.plane, fleet.agent(fleet.id_of("a")))  # type: ignore[arg-type] # a plane
    assert document.extensions[0].correction == 1
    with pytest.raises(ArcBridgeError) as caught:
        await ask(fleet, extension="nothing")
    assert caught.value.code is ErrorCode.NOT_FOUND


async def test_a_single_correction_overtakes_the_queue(fleet: Fleet) -> None:
    await drifted(fleet, "a", "b", pace=SLOW)
    await ask(fleet)
    (row,) = fleet.sql("select drift_id from drifts where cluster_id = %s", fleet.id_of("b"))
    drift_id: UUID = row["drift_id"]
    answer = await drift.correct(fleet.plane, OPERATOR, drift_id, DriftAction())  # type: ignore[arg-type] # a plane
    assert (answer.correcting, answer.waiting_for) == (True, None)
    await fill(fleet, 3)
    await pacer.tick(fleet.plane)
    assert asked(fleet) == {"a": 1, "b": 1}


async def test_what_is_over_or_no_longer_wanted_is_not_corrected(fleet: Fleet) -> None:
    await drifted(fleet, "a", "b", pace=SLOW)
    await ask(fleet)
    fleet.sql("update drifts set resolved_at = now() where cluster_id = %s", fleet.id_of("a"))
    fleet.sql("update assignments set absent = true where cluster_id = %s", fleet.id_of("b"))
    await fill(fleet, 3)
    await pacer.tick(fleet.plane)
    assert asked(fleet) == {"a": 0, "b": 0}
    assert not fleet.sql("select 1 from drifts where correction_asked_at is not null"
                         " and resolved_at is null")  # fmt: skip


async def test_a_correction_that_does_not_help_can_be_asked_for_again(fleet: Fleet) -> None:
    await drifted(fleet, "a", pace=SLOW)
    await fill(fleet, 3)
    await ask(fleet)
    (row,) = fleet.sql("select * from assignments")
    (found,) = fleet.sql("select differences from drifts")
    report = {
        "checkedAt": fleet.plane.clock(), "correction": 1, "corrections": 1,
        "differences": found["differences"],
    }  # fmt: skip
    await fleet.report(row, ExtensionPhase.READY, drift=report)
    assert (await ask(fleet)).asked == 1
    assert asked(fleet) == {"a": 2}
