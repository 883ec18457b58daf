"""Sets objects right by the apply that made them, also where that apply alone is refused.

An apply merges lists by key, and so an edit of the key itself leaves two items: of a Service whose
port was changed it would make one with both ports, which the API server refuses (422). Then the
object is first written as it should be, and applied after that. The write leaves no trace among
the field managers: what it owned would stay when a later release no longer declares it.
"""

from __future__ import annotations

from collections.abc import Sequence

from agent.errors import KubeInvalid, StepFailed
from agent.kube.client import KubeClient
from agent.reconcile.apply import apply_objects, bounded_gather, live_resource
from agent.reconcile.difference import overlaid
from agent.reconcile.live import get_or_none
from agent.reconcile.objects import Object
from shared.contract.reasons import ReasonCode

_RESTORER = "arcbridge-restore"
"""The field manager of the write that makes way for an apply."""


async def correct_objects(
    kube: KubeClient, objects: Sequence[Object], *, failure: ReasonCode, manager: str
) -> None:
    """Apply all, with force. Raises StepFailed and KubeError as `apply_objects` does."""
    try:
        await apply_objects(kube, objects, failure=failure, force=True, manager=manager)
    except StepFailed as error:
        if not isinstance(error.__cause__, KubeInvalid):
            raise
        answers = await bounded_gather([_restore(kube, obj, manager) for obj in objects])
        restored = [obj for obj, done in zip(objects, answers, strict=True) if done]
        if not restored:
            raise
        await apply_objects(kube, objects, failure=failure, force=True, manager=manager)
        await bounded_gather([_forget_restorer(kube, obj) for obj in restored])


async def _restore(kube: KubeClient, obj: Object, manager: str) -> bool:
    """Write one object as it should be; False where an apply would do, or nothing can."""
    live = await get_or_none(kube, obj)
    if live is None:
        return False
    resource = await live_resource(kube, obj)
    try:
        await kube.apply(resource, obj, force=True, dry_run=True, manager=manager)
    except KubeInvalid:
        pass
    else:
        return False
    for with_others in (True, False):
        try:
            wanted = overlaid(live, obj, with_others=with_others)
            await kube.replace(resource, wanted, manager=_RESTORER)
        except KubeInvalid:
            continue
        return True
    return False


async def _forget_restorer(kube: KubeClient, obj: Object) -> None:
    live = await get_or_none(kube, obj)
    if live is None:
        return
    meta = live["metadata"]
    entries = meta.get("managedFields") or ()
    kept = [entry for entry in entries if entry.get("manager") != _RESTORER]
    if len(kept) < len(entries):
        resource = await live_resource(kube, obj)
        body = {**live, "metadata": {**meta, "managedFields": kept}}
        await kube.replace(resource, body, manager=_RESTORER)
