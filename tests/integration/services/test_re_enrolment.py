"""A cluster that was away for long comes back as what it was."""

from __future__ import annotations

from datetime import timedelta

from shared.contract.ca import CaRotateRequest
from shared.contract.extension import ExtensionManifest
from shared.contract.registration import RegisterResponse
from shared.contract.states import ConnectionState
from shared.services import (
    ca,
    ca_rotation,
    clusters,
    connectivity,
    desired,
    pacer,
    publish,
    rollouts,
    sessions,
)
from shared.services.cluster_key import ClusterKey
from shared.services.control_plane import ControlPlane
from shared.services.sessions import Applicant
from tests.integration.conftest import Clock
from tests.integration.services.joining import admin, agent, join, new_token

EVERYWHERE = ExtensionManifest.model_validate(
    {
        "kind": "Extension",
        "metadata": {"name": "web"},
        "spec": {
            "placement": {},
            "namespace": "web",
            "source": {"kustomize": {"files": {"kustomization.yaml": "resources: []\n"}}},
        },
    }
)


async def connects(cp: ControlPlane, answer: RegisterResponse) -> None:
    key = ClusterKey(answer.tenant, answer.cluster_id)
    applicant = Applicant(key=key, serial=answer.serial, instance_id="a")
    silence = timedelta(seconds=160)
    (granted,) = await sessions.grant(cp, [applicant], relay_id="r", alive_within=silence)
    assert isinstance(granted, sessions.Grant)


async def test_an_expired_cluster_comes_back_with_all_its_extensions_and_under_a_newer_ca(
    control_plane: ControlPlane, clock: Clock
) -> None:
    before = await join(control_plane, "eu-1", labels={"env": "prod"})
    await connects(control_plane, before)
    await publish.publish(control_plane, admin(), EVERYWHERE)
    (rollout,) = (await rollouts.list_rollouts(control_plane, admin())).items
    await pacer.tick_rollout(control_plane, "acme", rollout.id)
    clock.ahead = timedelta(minutes=1)  # the pacing bucket starts empty
    await pacer.tick_rollout(control_plane, "acme", rollout.id)
    held = (await desired.document(control_plane, agent(before))).extensions
    assert [each.name for each in held] == ["web"]
    await ca.rotate(control_plane, admin(), CaRotateRequest())
    clock.ahead = timedelta(days=8)
    await connectivity.sweep(control_plane)
    assert (await clusters.get(control_plane, admin(), "eu-1")).state is ConnectionState.EXPIRED
    # It could not connect any more, so the rotation does not wait for it.
    await ca_rotation.sweep(control_plane)
    token = await new_token(control_plane, name="eu-1")
    back = await join(control_plane, "eu-1", token=token)
    assert back.cluster_id == before.cluster_id
    assert back.serial != before.serial
    assert back.ca_bundle != before.ca_bundle
    assert (await desired.document(control_plane, agent(back))).extensions == held
    await connects(control_plane, back)
    found = await clusters.get(control_plane, admin(), "eu-1")
    assert (found.state, found.labels) == (ConnectionState.CONNECTED, {"env": "prod"})
