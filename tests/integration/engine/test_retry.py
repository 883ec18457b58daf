"""Retrying what a rollout left behind, over real Postgres and Redis."""

from __future__ import annotations

from uuid import UUID

import pytest

from shared.contract.errors import ErrorCode
from shared.contract.extension import ExtensionManifest
from shared.contract.rollout import ActionRequest, RollbackRequest
from shared.contract.states import ExtensionPhase, RolloutKind, RolloutState
from shared.domain.errors import ArcBridgeError
from shared.services import publish, removal, retry, rollback, rollouts
from tests.integration.engine.fleet import OPERATOR, Fleet, Outcome, manifest

LENIENT = {"maxFailures": "100%"}
ASK = ActionRequest()


def failing(*clusters: str) -> Outcome:
    return lambda cluster, digest: (
        ExtensionPhase.FAILED if cluster in clusters else ExtensionPhase.READY
    )


async def published(fleet: Fleet, what: ExtensionManifest) -> UUID:
    made = await publish.publish(fleet.plane, OPERATOR, what)
    assert made.rollout_id is not None
    return made.rollout_id


async def refused(fleet: Fleet, rollout_id: UUID) -> ArcBridgeError:
    with pytest.raises(ArcBridgeError) as caught:
        await retry.retry(fleet.plane, OPERATOR, rollout_id, None, ASK)
    return caught.value


async def test_only_what_failed_or_was_skipped_is_tried_again_with_the_frozen_strategy(
    fleet: Fleet,
) -> None:
    fleet.connect("a", "b", "c", "d")
    fleet.set_state("d", "Revoked")
    fleet.outcome = failing("b", "c")
    made = await published(fleet, manifest(rollout=LENIENT))
    await fleet.run()
    assert fleet.targets(made) == {"a": "Succeeded", "b": "Failed", "c": "Failed"}
    fleet.outcome = failing()
    again = await retry.retry(
        fleet.plane, OPERATOR, made, None, ActionRequest(reason="the disk is larger now")
    )
    await fleet.run()
    old = await rollouts.get(fleet.plane, OPERATOR, made)
    done = await rollouts.get(fleet.plane, OPERATOR, again.id)
    assert done.state is RolloutState.SUCCEEDED
    assert (done.kind, done.revision, done.retry_of) == (RolloutKind.PUBLISH, 1, old.id)
    assert done.strategy == old.strategy
    assert fleet.targets(again.id) == {"b": "Succeeded", "c": "Succeeded"}
    assert fleet.assignments() == dict.fromkeys("abc", (1, False))
    told = fleet.sql("select subject, actor, message, data from events where action = %s",
                     "rollout.retry")  # fmt: skip
    assert told == [
        {
            "subject": f"rollout/{old.id}",
            "actor": OPERATOR.actor,
            "message": "the disk is larger now",
            "data": {"extension": "app", "rollout": str(again.id), "targets": 2},
        }
    ]


async def test_a_cluster_that_was_skipped_is_taken_up(fleet: Fleet) -> None:
    fleet.connect("a", "b")
    fleet.set_state("b", "Offline")
    made = await published(fleet, manifest(rollout={"offline": {"after": "0s"}}))
    await fleet.run()
    assert fleet.targets(made)["b"] == "Skipped"
    fleet.set_state("b", "Connected")
    again = await retry.retry(fleet.plane, OPERATOR, made, None, ASK)
    assert set(fleet.targets(again.id)) == {"b"}
    await fleet.run()
    assert fleet.assignments() == dict.fromkeys("ab", (1, False))


async def test_what_a_retry_cannot_do_is_refused_with_the_reason(fleet: Fleet) -> None:
    fleet.connect("a", "b")
    fleet.outcome = lambda cluster, digest: None
    made = await published(fleet, manifest(rollout=LENIENT))
    error = await refused(fleet, made)
    assert (error.code, "once it is over" in error.detail) == (ErrorCode.CONFLICT, True)
    fleet.outcome = failing("b")
    await fleet.run()
    fleet.outcome = lambda cluster, digest: None
    running = await retry.retry(fleet.plane, OPERATOR, made, None, ASK)
    error = await refused(fleet, made)
    assert (error.code, str(running.id) in error.detail) == (ErrorCode.CONFLICT, True)
    fleet.outcome = failing()
    await fleet.run()
    error = await refused(fleet, made)
    assert "a newer rollout of app took over" in error.detail
    error = await refused(fleet, running.id)
    assert "left no cluster behind" in error.detail
    error = await refused(fleet, UUID(int=1))
    assert error.code is ErrorCode.NOT_FOUND


async def test_a_quarantined_revision_is_not_tried_again(fleet: Fleet) -> None:
    fleet.connect("a")
    fleet.outcome = failing("a")
    made = await published(fleet, manifest(rollout={"maxFailures": 0}))
    fleet.outcome = lambda cluster, digest: (
        ExtensionPhase.FAILED if not fleet.assignments()[cluster][1] else ExtensionPhase.READY
    )
    await fleet.run()
    assert (await refused(fleet, made)).code is ErrorCode.QUARANTINED


async def test_a_failed_way_back_is_tried_again_to_the_same_place(fleet: Fleet) -> None:
    fleet.connect("a", "b")
    for version in ("1.0.0", "2.0.0"):
        await publish.publish(fleet.plane, OPERATOR, manifest(version=version))
        await fleet.run()
    fleet.outcome = failing("b")
    back = await rollback.rollback(fleet.plane, OPERATOR, "app", RollbackRequest())
    await fleet.run()
    assert fleet.targets(back.rollout_id) == {"a": "Succeeded", "b": "Failed"}
    fleet.outcome = failing()
    again = await retry.retry(fleet.plane, OPERATOR, back.rollout_id, None, ASK)
    await fleet.run()
    assert again.kind is RolloutKind.ROLLBACK
    assert fleet.targets(again.id) == {"b": "Succeeded"}
    assert fleet.assignments() == dict.fromkeys("ab", (1, False))


async def test_a_removal_that_failed_somewhere_is_tried_again_there(fleet: Fleet) -> None:
    fleet.connect("a", "b")
    await publish.publish(fleet.plane, OPERATOR, manifest(rollout={"onFailure": "continue"}))
    await fleet.run()
    fleet.outcome = failing("b")
    gone = await removal.delete(fleet.plane, OPERATOR, "app", None, None)
    await fleet.run()
    assert fleet.targets(gone.id) == {"a": "Succeeded", "b": "Failed"}
    fleet.outcome = failing()
    again = await retry.retry(fleet.plane, OPERATOR, gone.id, None, ASK)
    await fleet.run()
    assert fleet.targets(again.id) == {"b": "Succeeded"}
    assert fleet.sql("select deleted_at is not null as gone from extensions") == [{"gone": True}]
