"""The artifact policy at publish: what it does not allow leaves nothing behind."""

from __future__ import annotations

import pytest

from shared.contract.artifact_policy import ArtifactPolicySpec
from shared.contract.errors import ErrorCode
from shared.domain.errors import ArcBridgeError
from shared.services import artifact_policies, catalog, events, plan, publish
from tests.integration.engine.fleet import OPERATOR, Fleet, Plane, manifest

STRICT = ArtifactPolicySpec(sources=("https://charts.example.org",), inline=False, reason="ours")


async def test_what_is_not_allowed_is_neither_planned_nor_published(
    plane: Plane, fleet: Fleet
) -> None:
    fleet.connect("eu-1")
    await artifact_policies.put(plane, OPERATOR, STRICT, None)
    for attempt in (plan.plan, publish.publish):
        with pytest.raises(ArcBridgeError) as caught:
            await attempt(plane, OPERATOR, manifest())
        assert caught.value.code is ErrorCode.POLICY_VIOLATED
        assert caught.value.errors[0].field == "spec.source"
    assert (await catalog.list_extensions(plane, OPERATOR)).items == ()


async def test_a_policy_is_set_once_told_in_the_trail_and_checked_against_its_version(
    plane: Plane, fleet: Fleet
) -> None:
    fleet.connect("eu-1")
    nothing = await artifact_policies.get(plane, OPERATOR)
    assert (nothing.sources, nothing.inline, nothing.etag) == ((), True, "0")
    stored = await artifact_policies.put(plane, OPERATOR, STRICT, nothing.etag)
    again = await artifact_policies.put(plane, OPERATOR, STRICT, None)
    assert (stored.sources, stored.etag, again.etag) == (STRICT.sources, "1", "1")
    with pytest.raises(ArcBridgeError) as caught:
        await artifact_policies.put(plane, OPERATOR, ArtifactPolicySpec(), "0")
    assert caught.value.code is ErrorCode.PRECONDITION_FAILED
    await artifact_policies.put(plane, OPERATOR, ArtifactPolicySpec(), stored.etag)
    trail = (await events.list_events(plane, OPERATOR)).items
    assert [entry.action for entry in trail] == ["artifact-policy.set"] * 2
    assert trail[0].data["before"] == STRICT.to_wire()
    assert (await publish.publish(plane, OPERATOR, manifest())).created
