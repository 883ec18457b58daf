"""A cluster that is suspended, or says notNow, after its release began."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.contract.states import ExtensionPhase
from shared.services import publish
from tests.integration.engine.fleet import OPERATOR, Fleet, manifest

IN_FLIGHT = ("Released", "Applying", "Verifying")


@pytest.mark.parametrize(
    ("soak", "began"), [("0s", ExtensionPhase.APPLYING), ("5m", ExtensionPhase.READY)]
)
async def test_neither_its_deadline_nor_its_soak_judges_it(
    fleet: Fleet, soak: str, began: ExtensionPhase
) -> None:
    fleet.connect("a", "b")
    stage = {"name": "all", "maxConcurrent": 2, "soak": soak}
    strategy = {"stages": [stage], "progressDeadline": "10m", "onFailure": "rollback"}
    fleet.outcome = lambda cluster, digest: began if cluster == "a" else None
    made = (await publish.publish(fleet.plane, OPERATOR, manifest(rollout=strategy))).rollout_id
    assert made is not None
    await fleet.run(3)
    until = fleet.plane.clock() + timedelta(hours=1)
    fleet.sql("update clusters set not_now_until = %s where name = 'a'", until)
    fleet.plane.clock.advance(seconds=31)
    await fleet.run(2)
    assert fleet.targets(made) == {"a": "Skipped", "b": "Released"}
    fleet.sql("update clusters set not_now_until = null")
    fleet.plane.clock.advance(seconds=31)
    await fleet.run(2)
    assert fleet.targets(made)["a"] in IN_FLIGHT, "it was released anew"
