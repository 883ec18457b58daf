"""If-Match between writers at the same time: of those that saw the same version one succeeds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from shared.contract.artifact_policy import ArtifactPolicySpec
from shared.contract.cluster import ClusterPatch
from shared.contract.errors import ErrorCode
from shared.contract.freeze import FreezeScope, FreezeSpec
from shared.contract.joining_policy import JoiningPolicySpec
from shared.domain.errors import ArcBridgeError
from shared.services import (
    artifact_policies,
    clusters,
    freezes,
    joining_policies,
)
from shared.services.control_plane import ControlPlane
from tests.integration.services.joining import admin, join

WRITERS = 4
Write = Callable[[int], Coroutine[Any, Any, object]]
"""The change of the writer with this number."""


async def a_policy_of_artifacts(cp: ControlPlane) -> Write:
    await artifact_policies.put(cp, admin(), ArtifactPolicySpec(reason="first"), None)

    def write(number: int) -> Coroutine[Any, Any, object]:
        spec = ArtifactPolicySpec(reason=f"by {number}")
        return artifact_policies.put(cp, admin(), spec, "1")

    return write


async def a_policy_of_artifacts_that_is_not_there_yet(cp: ControlPlane) -> Write:
    def write(number: int) -> Coroutine[Any, Any, object]:
        spec = ArtifactPolicySpec(reason=f"by {number}")
        return artifact_policies.put(cp, admin(), spec, "0")

    return write


async def a_policy_of_joining(cp: ControlPlane) -> Write:
    await joining_policies.put(cp, admin(), JoiningPolicySpec(approval=True), None)

    def write(number: int) -> Coroutine[Any, Any, object]:
        spec = JoiningPolicySpec(approval=False, reason=f"by {number}")
        return joining_policies.put(cp, admin(), spec, "1")

    return write


async def a_freeze(cp: ControlPlane) -> Write:
    spec = FreezeSpec(scope=FreezeScope.NAMED, reason="first")
    await freezes.put(cp, admin(), "night", spec, None)

    def write(number: int) -> Coroutine[Any, Any, object]:
        change = FreezeSpec(scope=FreezeScope.NAMED, reason=f"by {number}")
        return freezes.put(cp, admin(), "night", change, "1")

    return write


async def a_freeze_that_one_deletes(cp: ControlPlane) -> Write:
    write = await a_freeze(cp)
    return lambda number: write(number) if number else freezes.delete(cp, admin(), "night", "1")


async def a_cluster(cp: ControlPlane) -> Write:
    await join(cp, "eu-1")
    etag = (await clusters.get(cp, admin(), "eu-1")).etag

    def write(number: int) -> Coroutine[Any, Any, object]:
        change = ClusterPatch(labels={"by": str(number)})
        return clusters.patch(cp, admin(), "eu-1", change, if_match=etag)

    return write


@pytest.mark.parametrize(
    "prepare",
    [
        a_policy_of_artifacts,
        a_policy_of_artifacts_that_is_not_there_yet,
        a_policy_of_joining,
        a_freeze,
        a_freeze_that_one_deletes,
        a_cluster,
    ],
)
async def test_one_of_several_writers_who_saw_the_same_version_succeeds(
    control_plane: ControlPlane, prepare: Callable[[ControlPlane], Awaitable[Write]]
) -> None:
    write = await prepare(control_plane)
    answers = await asyncio.gather(*map(write, range(WRITERS)), return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, BaseException)]
    assert len(refused) == WRITERS - 1, "the versions of the others were overtaken"
    for refusal in refused:
        assert isinstance(refusal, ArcBridgeError)
        assert refusal.code in (ErrorCode.PRECONDITION_FAILED, ErrorCode.NOT_FOUND)


async def test_a_star_stands_for_any_version_of_a_cluster(control_plane: ControlPlane) -> None:
    await join(control_plane, "eu-1")
    change = ClusterPatch(labels={"env": "prod"})
    changed = await clusters.patch(control_plane, admin(), "eu-1", change, if_match="*")
    assert changed.labels == {"env": "prod"}
