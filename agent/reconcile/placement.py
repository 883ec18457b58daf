"""Puts rendered objects where they belong: scope, namespace, and nothing twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

from agent.errors import KubeNotFound, StepFailed
from agent.kube.client import KubeClient
from agent.reconcile.live import get_or_none
from agent.reconcile.objects import ManifestError, Object, key_of, parse_manifest, placed
from agent.reconcile.readiness_types import text_at
from shared.contract.reasons import ReasonCode

_GOING_SECONDS = 60.0
_POLL_SECONDS = 0.5


async def placed_objects(kube: KubeClient, manifest: str, namespace: str) -> list[Object]:
    """The objects of a manifest with their namespaces filled in.

    Raises StepFailed(BuildFailed) for what is not a manifest, a kind the cluster does not have, or
    one object given twice.
    """
    try:
        objects = parse_manifest(manifest)
    except ManifestError as error:
        raise StepFailed(ReasonCode.BUILD_FAILED, str(error), final=True) from error
    own = _scopes_of_crds(objects)
    found = [
        placed(obj, namespace, namespaced=await _is_namespaced(kube, obj, own)) for obj in objects
    ]
    twice, times = next(iter(Counter(key_of(obj) for obj in found).most_common(1)), (None, 0))
    if times > 1:
        raise StepFailed(ReasonCode.BUILD_FAILED, f"{twice} is rendered twice", final=True)
    return found


def _scopes_of_crds(objects: Sequence[Object]) -> dict[tuple[str, str], bool]:
    """Whether the kinds that this very manifest defines are namespaced."""
    return {
        (text_at(obj, "spec", "group"), text_at(obj, "spec", "names", "kind")): text_at(
            obj, "spec", "scope"
        )
        == "Namespaced"
        for obj in objects
        if obj["kind"] == "CustomResourceDefinition"
    }


async def _is_namespaced(kube: KubeClient, obj: Object, own: dict[tuple[str, str], bool]) -> bool:
    api_version, kind = str(obj["apiVersion"]), str(obj["kind"])
    scope = own.get((api_version.rpartition("/")[0], kind))
    if scope is not None:
        return scope
    try:
        return (await kube.resource(api_version, kind)).namespaced
    except KubeNotFound as error:
        raise StepFailed(
            ReasonCode.BUILD_FAILED,
            f"{kind} {obj['metadata']['name']}: the cluster has no kind {kind} in {api_version}",
        ) from error


async def ensure_namespace(kube: KubeClient, namespace: str) -> None:
    """Make the extension's namespace where it is missing, or once one that is going is gone. It is
    never deleted again by us: it may hold what others put there."""
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    clock = asyncio.get_running_loop().time
    deadline = clock() + _GOING_SECONDS
    while (live := await get_or_none(kube, body)) is not None:
        # After the deadline the API server says itself that it takes nothing into this one.
        if "deletionTimestamp" not in live["metadata"] or clock() > deadline:
            return
        await asyncio.sleep(_POLL_SECONDS)
    await kube.apply(await kube.resource("v1", "Namespace"), body)
