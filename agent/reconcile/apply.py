"""Server-side apply of many objects, in the order in which they need each other."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Coroutine, Sequence
from typing import TypeVar

from agent.errors import (
    KubeApplyConflict,
    KubeForbidden,
    KubeInvalid,
    KubeNotFound,
    StepFailed,
)
from agent.kube.client import FIELD_MANAGER, KubeClient
from agent.kube.discovery import Resource
from agent.reconcile.edited_keys import apply_over_edits
from agent.reconcile.going import held_by, is_going
from agent.reconcile.objects import (
    ESTABLISHED_FIRST,
    Object,
    ObjectKey,
    apply_rank,
    in_apply_order,
    key_of,
)
from agent.reconcile.readiness import compute
from shared.contract.reasons import ReasonCode

T = TypeVar("T")

PARALLEL = 8
"""Requests that are under way at once."""
_ESTABLISH_SECONDS = 60.0
_GOING_SECONDS = 60.0
_DISCOVERY_SECONDS = 15.0
_POLL_SECONDS = 0.1


async def apply_objects(
    kube: KubeClient,
    objects: Sequence[Object],
    *,
    failure: ReasonCode,
    force: bool,
    manager: str = FIELD_MANAGER,
) -> dict[ObjectKey, Object]:
    """Apply all and return them as the API server answered.

    Raises StepFailed: ApplyConflict with the other managers' names, else `failure` with the object
    and the API server's words. KubeError travels on where another attempt may help.
    """
    live: dict[ObjectKey, Object] = {}
    ordered = in_apply_order(list(objects))
    for _, group in itertools.groupby(ordered, key=lambda obj: apply_rank(str(obj["kind"]))):
        members = list(group)
        answers = await bounded_gather(
            [_apply_one(kube, obj, failure, force, manager) for obj in members]
        )
        live |= {key_of(answer): answer for answer in answers}
        if str(members[0]["kind"]) in ESTABLISHED_FIRST:
            await _wait_established(kube, members)
    return live


async def bounded_gather(calls: Sequence[Coroutine[object, object, T]]) -> list[T]:
    """Await all with at most PARALLEL under way; the first error cancels the rest."""
    slots = asyncio.Semaphore(PARALLEL)

    async def one(call: Coroutine[object, object, T]) -> T:
        async with slots:
            return await call

    # No TaskGroup: in early releases of Python 3.11 one whose child fails can leave its parent
    # cancelled, and so end the worker that it runs in.
    tasks = [asyncio.create_task(one(call)) for call in calls]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for call in calls:
            call.close()


async def live_resource(kube: KubeClient, obj: Object) -> Resource:
    """The resource of an object whose CRD may have been established just now: the API server
    serves a new kind a moment later than it says so."""
    api_version, kind = str(obj["apiVersion"]), str(obj["kind"])
    deadline = asyncio.get_running_loop().time() + _DISCOVERY_SECONDS
    while True:
        try:
            return await kube.resource(api_version, kind)
        except KubeNotFound:
            if asyncio.get_running_loop().time() > deadline:
                raise
            await asyncio.sleep(_POLL_SECONDS * 5)


async def _apply_one(
    kube: KubeClient, obj: Object, failure: ReasonCode, force: bool, manager: str
) -> Object:
    key = key_of(obj)
    try:
        resource = await live_resource(kube, obj)
        answer = await apply_over_edits(kube, resource, obj, force=force, manager=manager)
        if not is_going(answer):
            return answer
        # What was applied to it goes with it.
        await _wait_gone(kube, resource, answer, failure)
        return await apply_over_edits(kube, resource, obj, force=force, manager=manager)
    except KubeApplyConflict as error:
        raise StepFailed(ReasonCode.APPLY_CONFLICT, conflict_message(key, error)) from error
    except (KubeInvalid, KubeForbidden, KubeNotFound) as error:
        raise StepFailed(failure, f"{key}: {error}") from error


async def _wait_gone(
    kube: KubeClient, resource: Resource, live: Object, failure: ReasonCode
) -> None:
    key, deadline = key_of(live), asyncio.get_running_loop().time() + _GOING_SECONDS
    uid = str(live["metadata"].get("uid", ""))
    held = await held_by(kube, resource, key, uid, deadline)
    if held is not None:
        raise StepFailed(failure, f"{key} is being deleted, and is held by {held}")


def conflict_message(key: ObjectKey, error: KubeApplyConflict) -> str:
    """`Deployment shop/web: .spec.replicas is owned by kubectl-edit`."""
    owned = "; ".join(f"{path} is owned by {manager}" for manager, path in error.owners)
    return f"{key}: {owned}"


async def _wait_established(kube: KubeClient, objects: Sequence[Object]) -> None:
    """Return once namespaces are active and CRDs are served. Raises StepFailed(BuildFailed)."""
    deadline = asyncio.get_running_loop().time() + _ESTABLISH_SECONDS
    for obj in objects:
        resource = await kube.resource(str(obj["apiVersion"]), str(obj["kind"]))
        while not (state := compute(await kube.get(resource, obj["metadata"]["name"]))).is_current:
            if asyncio.get_running_loop().time() > deadline:
                raise StepFailed(ReasonCode.BUILD_FAILED, f"{key_of(obj)}: {state.message}")
            await asyncio.sleep(_POLL_SECONDS)
        for version in obj.get("spec", {}).get("versions") or ():
            if resource.kind == "CustomResourceDefinition":
                kube.discovery.forget(f"{obj['spec']['group']}/{version['name']}")
