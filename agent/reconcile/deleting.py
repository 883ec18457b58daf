"""Deletes what an extension no longer has, each object in the name of who had applied it.

An extension's service account may change from one revision to the next, and with its namespace
always does. The new one often has no rights where the old one worked; an object that neither may
delete is named with the right that lacks, and stays in the inventory.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from agent.errors import KubeForbidden, KubeNotFound, StepFailed
from agent.kube.client import KubeClient
from agent.reconcile.apply import bounded_gather
from agent.reconcile.objects import ObjectKey, ObjectRef
from agent.reconcile.prune import delete_objects
from agent.reconcile.record import InventoryItem
from agent.reconcile.work import acting_for


async def delete_as_applied(
    kube: KubeClient,
    extension: str,
    refs: Sequence[ObjectRef],
    inventory: Iterable[InventoryItem],
    as_user: str | None,
    *,
    seconds: float,
    found: Collection[ObjectKey] = (),
) -> None:
    """Delete as `delete_objects` does, in the order of `refs` for each account; `as_user` is whose
    name the extension is applied in now. Raises StepFailed(PruneFailed)."""
    before = _accounts(inventory)
    for account in dict.fromkeys(before.get(ref.key, as_user) for ref in refs):
        group = [ref for ref in refs if before.get(ref.key, as_user) == account]
        if account != as_user:
            there = await bounded_gather([_may_be_there(kube, ref) for ref in group])
            group = [ref for ref, is_there in zip(group, there, strict=True) if is_there]
        try:
            await delete_objects(
                acting_for(kube, account), extension, group, seconds=seconds, found=found
            )
        except StepFailed as error:
            if account == as_user or not isinstance(error.__cause__, KubeForbidden):
                raise
            await _try_as(kube, extension, group, as_user, error, seconds=seconds, found=found)


async def _try_as(
    kube: KubeClient,
    extension: str,
    refs: Sequence[ObjectRef],
    as_user: str | None,
    refused: StepFailed,
    *,
    seconds: float,
    found: Collection[ObjectKey],
) -> None:
    """Once more in the name of who applies the extension now: the one before lost the right."""
    try:
        await delete_objects(
            acting_for(kube, as_user), extension, refs, seconds=seconds, found=found
        )
    except StepFailed as error:
        if not isinstance(error.__cause__, KubeForbidden):
            raise
        raise StepFailed(
            error.reason,
            f"{refused}; and who applies the extension now may not, either: {error.__cause__}. "
            "Delete it, or give one of the two the right to; until then it is not forgotten",
        ) from error


async def _may_be_there(kube: KubeClient, ref: ObjectRef) -> bool:
    """False for what the agent itself sees to be gone: who has lost their rights, as with the
    namespace they were given in, is told `forbidden` of what is not there, too."""
    try:
        resource = await kube.resource(ref.api_version, ref.kind)
        await kube.get(resource, ref.name, ref.namespace or None)
    except KubeNotFound as error:
        return error.reason != "NotFound"  # else it is served in another version, maybe
    except KubeForbidden:
        return True
    return True


def _accounts(inventory: Iterable[InventoryItem]) -> Mapping[ObjectKey, str | None]:
    """Who had applied what, where that is not who applies the extension now."""
    return {
        item.ref.key: item.applied_as or None for item in inventory if item.applied_as is not None
    }
