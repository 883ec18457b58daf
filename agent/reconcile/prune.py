"""Deletes what an extension no longer has: never more than the cap, never what is not its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from agent.errors import KubeConflict, KubeError, KubeNotFound, StepFailed
from agent.kube.client import KubeClient, Propagation
from agent.reconcile.apply import bounded_gather
from agent.reconcile.objects import (
    EXTENSION_LABEL,
    Object,
    ObjectKey,
    ObjectRef,
    apply_rank,
    prune_disabled,
)
from shared.contract.reasons import ReasonCode

_POLL_FIRST_SECONDS = 0.1
_POLL_MAX_SECONDS = 2.0


def superfluous(inventory: Iterable[ObjectRef], wanted: Iterable[ObjectKey]) -> list[ObjectRef]:
    """What the inventory has and nobody wants, in the order of deleting: workloads before what
    they use, CRDs and namespaces last. An object under another version is the same object."""
    keep = set(wanted)
    unwanted = {ref.key: ref for ref in inventory if ref.key not in keep}
    return sorted(unwanted.values(), key=lambda ref: (-apply_rank(ref.kind), ref.key))


def refuse_above_cap(refs: Sequence[ObjectRef], cap: int) -> None:
    """Raise StepFailed(PruneCapped) when these are more than one cycle may delete."""
    if len(refs) > cap:
        raise StepFailed(
            ReasonCode.PRUNE_CAPPED,
            f"{len(refs)} objects would be deleted, the cap is {cap}: nothing was applied or "
            f"deleted. First of them: {refs[0].key}",
            final=True,
        )


async def delete_objects(
    kube: KubeClient, extension: str, refs: Sequence[ObjectRef], *, seconds: float
) -> list[ObjectRef]:
    """Delete rank by rank and wait until they are gone; returns what was kept.

    Kept are objects that ask for it, and such as belong to another extension by now. Raises
    StepFailed(PruneFailed), naming the object.
    """
    kept: list[ObjectRef] = []
    deadline = asyncio.get_running_loop().time() + seconds
    for rank in sorted({apply_rank(ref.kind) for ref in refs}, reverse=True):
        group = [ref for ref in refs if apply_rank(ref.kind) == rank]
        answers = await bounded_gather([_delete_one(kube, extension, ref) for ref in group])
        kept += [ref for ref, uid in zip(group, answers, strict=True) if uid is None]
        gone = [(ref, uid) for ref, uid in zip(group, answers, strict=True) if uid]
        await bounded_gather([_wait_gone(kube, ref, uid, deadline) for ref, uid in gone])
    return kept


def belongs_to(obj: Object, extension: str) -> bool:
    """True unless the object's label names another extension."""
    labels = obj.get("metadata", {}).get("labels") or {}
    return str(labels.get(EXTENSION_LABEL, extension)) == extension


async def _delete_one(kube: KubeClient, extension: str, ref: ObjectRef) -> str | None:
    """The uid to wait for, empty when it is gone already, None when it is kept."""
    try:
        resource = await kube.resource(ref.api_version, ref.kind)
        live = await kube.get(resource, ref.name, ref.namespace or None)
        if prune_disabled(live) or not belongs_to(live, extension):
            return None
        uid = str(live["metadata"].get("uid", ""))
        await kube.delete(
            resource,
            ref.name,
            ref.namespace or None,
            uid=uid or None,
            propagation=Propagation.FOREGROUND
            if ref.kind in ("Deployment", "StatefulSet", "DaemonSet", "Job")
            else Propagation.BACKGROUND,
        )
    except KubeNotFound:
        return ""
    except KubeConflict:
        return ""  # another object took the name meanwhile; it is not the one to delete
    except KubeError as error:
        if error.retryable:
            raise
        raise StepFailed(ReasonCode.PRUNE_FAILED, f"{ref.key}: {error}") from error
    return uid


async def _wait_gone(kube: KubeClient, ref: ObjectRef, uid: str, deadline: float) -> None:
    resource = await kube.resource(ref.api_version, ref.kind)
    pause = _POLL_FIRST_SECONDS
    while True:
        try:
            live = await kube.get(resource, ref.name, ref.namespace or None)
        except KubeNotFound:
            return
        meta = live["metadata"]
        if meta.get("uid") != uid:
            return
        if asyncio.get_running_loop().time() > deadline:
            held = ", ".join(meta.get("finalizers") or ()) or "nothing that it says"
            raise StepFailed(
                ReasonCode.PRUNE_FAILED, f"{ref.key} does not go; it is held by {held}"
            )
        await asyncio.sleep(pause)
        pause = min(_POLL_MAX_SECONDS, pause * 2)
