"""Applies an object also where someone edited the key of a list, which makes an apply be refused.

An apply merges lists by key, and so an edit of the key itself leaves two items: of a Service whose
port was changed it would make one with both ports, which the API server refuses (422). Then the
object is first written as it should be, and applied after that. The write leaves no trace among
the field managers: what it owned would stay when a later release no longer declares it.
"""

from __future__ import annotations

from collections.abc import Iterator

from agent.errors import KubeConflict, KubeInvalid, KubeNotFound, StepFailed
from agent.kube.client import KubeClient
from agent.kube.discovery import Resource
from agent.reconcile.difference import ABSENT, compare_objects, overlaid
from agent.reconcile.objects import Object, key_of
from agent.reconcile.ownership import owners_of
from shared.contract.reasons import ReasonCode

_RESTORER = "arcbridge-restore"
"""The field manager of the write that makes way for an apply."""
_UNPROCESSABLE = 422
"""The status for an object that was understood, and is not valid as a whole."""
_TRIES = 5
"""How often to look again where the object changes between reading and writing it."""


async def apply_over_edits(
    kube: KubeClient, resource: Resource, obj: Object, *, force: bool, manager: str
) -> Object:
    """Server-side apply; the object as the API server answered.

    Raises KubeError as `KubeClient.apply` does. Without `force` an edit that stands in the way is a
    conflict like any other: StepFailed(ApplyConflict) naming its managers.
    """
    try:
        answer = await kube.apply(resource, obj, force=force, manager=manager)
    except KubeInvalid as error:
        if error.status != _UNPROCESSABLE or not await make_way(
            kube, resource, obj, force=force, manager=manager
        ):
            raise
        answer = await kube.apply(resource, obj, force=force, manager=manager)
    return await forget_restorer(kube, resource, answer)


async def make_way_where_refused(
    kube: KubeClient, resource: Resource, obj: Object, *, manager: str
) -> bool:
    """Write an object as it should be where applying it is refused as it stands; True when done."""
    try:
        await kube.apply(resource, obj, force=True, dry_run=True, manager=manager)
    except KubeInvalid as error:
        if error.status == _UNPROCESSABLE:
            return await make_way(kube, resource, obj, force=True, manager=manager)
    return False


async def make_way(
    kube: KubeClient, resource: Resource, obj: Object, *, force: bool, manager: str
) -> bool:
    """Write a live object as it should be; False where it is not there, or nothing helps: then the
    declared object itself is what is wrong. Raises StepFailed(ApplyConflict) without `force`."""
    for _ in range(_TRIES):
        live = await _live(kube, resource, obj)
        wanted = await _acceptable(kube, resource, obj, live) if live else None
        if live is None or wanted is None:
            return False
        if not force:
            _refuse_others_edits(wanted, live, manager)
        try:
            await kube.replace(resource, wanted, manager=_RESTORER)
        except KubeConflict:
            continue
        return True
    return False


async def forget_restorer(kube: KubeClient, resource: Resource, live: Object) -> Object:
    """Take the restorer off an object's field managers, whichever release left it there."""
    for _ in range(_TRIES):
        meta = live["metadata"]
        entries = meta.get("managedFields") or ()
        kept = [entry for entry in entries if entry.get("manager") != _RESTORER]
        if len(kept) == len(entries):
            return live
        body = {**live, "metadata": {**meta, "managedFields": kept}}
        try:
            return await kube.replace(resource, body, manager=_RESTORER)
        except KubeConflict:
            live = await kube.get(resource, meta["name"], meta.get("namespace"))
    return live


async def _acceptable(
    kube: KubeClient, resource: Resource, obj: Object, live: Object
) -> Object | None:
    """The live object with what is declared put on top, as the API server would take it: with
    others' items of its lists, or else without them."""
    for with_others in (True, False):
        wanted: Object = overlaid(live, obj, with_others=with_others)
        try:
            await kube.replace(resource, wanted, manager=_RESTORER, dry_run=True)
        except KubeInvalid:
            continue
        except KubeConflict:
            return wanted  # changed meanwhile: the write itself finds that out
        return wanted
    return None


def _refuse_others_edits(wanted: Object, live: Object, manager: str) -> None:
    edits = list(_others_edits(wanted, live, manager))
    if edits:
        raise StepFailed(ReasonCode.APPLY_CONFLICT, f"{key_of(live)}: {'; '.join(edits)}")


def _others_edits(wanted: Object, live: Object, manager: str) -> Iterator[str]:
    """`/spec/ports/0 is owned by kubectl-edit`, for what would be overwritten."""
    for found in compare_objects(wanted, live):
        if found.observed is ABSENT:
            continue
        owners = [name for name in owners_of(live, found.tokens) if name != manager]
        if owners:
            yield f"{found.path} is owned by {', '.join(owners)}"


async def _live(kube: KubeClient, resource: Resource, obj: Object) -> Object | None:
    meta = obj["metadata"]
    try:
        return await kube.get(resource, meta["name"], meta.get("namespace"))
    except KubeNotFound:
        return None
