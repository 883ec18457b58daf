"""Deletes what an extension no longer has: never more than the cap, never what is not its own.

An inventory names objects before they are applied, so what it names may never have been touched:
whether an object is the extension's is read from the object itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Sequence

from agent.errors import KubeConflict, KubeError, KubeNotFound, StepFailed
from agent.kube.client import FIELD_MANAGER, KubeClient, Propagation
from agent.kube.discovery import Resource
from agent.reconcile.apply import bounded_gather
from agent.reconcile.going import held_by
from agent.reconcile.objects import (
    EXTENSION_LABEL,
    MANAGED_BY_LABEL,
    Object,
    ObjectKey,
    ObjectRef,
    apply_rank,
    prune_disabled,
)
from shared.contract.reasons import ReasonCode
from shared.contract.wording import plural

_Going = tuple[Resource, str] | tuple[()]
"""What is being deleted: by which path, and its uid."""


def superfluous(inventory: Iterable[ObjectRef], wanted: Iterable[ObjectKey]) -> list[ObjectRef]:
    """What the inventory has and nobody wants, in the order of deleting: workloads before what
    they use, CRDs and namespaces last. An object under another version is the same object."""
    keep = set(wanted)
    unwanted = {ref.key: ref for ref in inventory if ref.key not in keep}
    return sorted(unwanted.values(), key=lambda ref: (-apply_rank(ref.kind), ref.key))


def refuse_above_cap(guarded: Iterable[ObjectRef], wanted: Iterable[ObjectKey], cap: int) -> None:
    """Raise StepFailed(PruneCapped) when more of what is guarded would go than one cycle may take.

    Guarded is what a release had that was ready (`ExtensionRecord.guarded`): what a revision that
    failed has just brought is taken away by its rollback, however much it is.
    """
    refs = superfluous(guarded, wanted)
    if len(refs) > cap:
        raise StepFailed(
            ReasonCode.PRUNE_CAPPED,
            f"{plural(len(refs), 'object')} would be deleted, the cap is {cap}: nothing was "
            f"applied or deleted. First of them: {refs[0].key}",
            final=True,
        )


async def delete_objects(
    kube: KubeClient,
    extension: str,
    refs: Sequence[ObjectRef],
    *,
    seconds: float,
    found: Collection[ObjectKey] = (),
) -> list[ObjectRef]:
    """Delete rank by rank and wait until they are gone; returns what was kept.

    Kept are objects that ask for it, such as are not this extension's, or not any more, and those
    of `found`, which are given back. Raises StepFailed(PruneFailed), naming the object.
    """
    kept: list[ObjectRef] = []
    deadline = asyncio.get_running_loop().time() + seconds
    for rank in sorted({apply_rank(ref.kind) for ref in refs}, reverse=True):
        group = [ref for ref in refs if apply_rank(ref.kind) == rank]
        answers = await bounded_gather(
            [_delete_one(kube, extension, ref, found=ref.key in found) for ref in group]
        )
        kept += [ref for ref, answer in zip(group, answers, strict=True) if answer is None]
        await bounded_gather(
            [
                _wait_gone(kube, ref, *answer, deadline)
                for ref, answer in zip(group, answers, strict=True)
                if answer
            ]
        )
    return kept


def is_ours(obj: Object, extension: str) -> bool:
    """Whether the object was applied for the extension: its label says so, or, where someone took
    that off, our field manager does."""
    meta = obj.get("metadata", {})
    label = (meta.get("labels") or {}).get(EXTENSION_LABEL)
    if label is not None:
        return str(label) == extension
    return any(_is_our_apply(entry) for entry in meta.get("managedFields") or ())


def _is_our_apply(entry: Object) -> bool:
    return (entry.get("manager"), entry.get("operation")) == (FIELD_MANAGER, "Apply")


async def _delete_one(
    kube: KubeClient, extension: str, ref: ObjectRef, *, found: bool
) -> _Going | None:
    """What to wait for, empty when it is gone already, None when it is kept."""
    try:
        resource, live = await _find(kube, ref)
        if prune_disabled(live) or not is_ours(live, extension):
            return None
        if found:
            await _give_back(kube, resource, live)
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
        return ()
    except KubeConflict:
        return ()  # another object took the name meanwhile; it is not the one to delete
    except KubeError as error:
        if error.retryable:
            raise
        raise StepFailed(ReasonCode.PRUNE_FAILED, f"{ref.key}: {error}") from error
    return resource, uid


async def _find(kube: KubeClient, ref: ObjectRef) -> tuple[Resource, Object]:
    """The live object, in another version where the one that it was applied with is not served any
    more: an upgraded cluster drops versions and keeps the objects. Raises KubeNotFound."""
    try:
        resource = await kube.resource(ref.api_version, ref.kind)
        return resource, await kube.get(resource, ref.name, ref.namespace or None)
    except KubeNotFound as error:
        if error.reason == "NotFound":
            raise  # the object, not its path
    resource = await kube.discovery.served(ref.api_version, ref.kind)
    return resource, await kube.get(resource, ref.name, ref.namespace or None)


async def _give_back(kube: KubeClient, resource: Resource, live: Object) -> None:
    """Take our marks off an object that someone else had made; its content stays as it is now."""
    meta = live["metadata"]
    labels = {EXTENSION_LABEL: None}
    if (meta.get("labels") or {}).get(MANAGED_BY_LABEL) == "arcbridge":
        labels[MANAGED_BY_LABEL] = None
    others = [entry for entry in meta.get("managedFields") or () if not _is_our_apply(entry)]
    # Not an apply of nothing: that would take away the fields that we alone own by now.
    change = {
        "labels": labels,
        "managedFields": others or [{}],
        "resourceVersion": meta["resourceVersion"],
    }
    await kube.patch(resource, meta["name"], meta.get("namespace"), {"metadata": change})


async def _wait_gone(
    kube: KubeClient, ref: ObjectRef, resource: Resource, uid: str, deadline: float
) -> None:
    held = await held_by(kube, resource, ref.key, uid, deadline)
    if held is not None:
        raise StepFailed(ReasonCode.PRUNE_FAILED, f"{ref.key} does not go; it is held by {held}")
