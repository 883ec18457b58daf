"""Puts the objects for an extension's secrets by reference beside what its source makes.

The agent asks which operator the cluster has, and leaves the fetching to it: it reads no vault and
no Secret that comes of this. Once an extension's objects are of one API they stay so until its next
release: an operator that is installed later must not look like drift.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from agent.errors import KubeNotFound, StepFailed
from agent.kube.client import KubeClient
from agent.reconcile.apply import apply_objects
from agent.reconcile.belongings import Belongings
from agent.reconcile.deleting import delete_as_applied
from agent.reconcile.live import load_live
from agent.reconcile.namespaces import refuse_forbidden
from agent.reconcile.objects import (
    EXTENSION_LABEL,
    MANAGED_BY_LABEL,
    Object,
    ObjectKey,
    key_of,
    labelled,
    ref_of,
)
from agent.reconcile.prune import superfluous
from agent.reconcile.record import ExtensionRecord, InventoryItem
from agent.reconcile.secret_objects import SecretApi, StoreUndecided, secret_objects
from agent.reconcile.work import Work, acting_for
from shared.contract.reasons import ReasonCode


class ReferencedSecrets:
    """Makes, applies and deletes these objects."""

    def __init__(
        self, kube: KubeClient, belongings: Belongings, *, termination_seconds: float
    ) -> None:
        self._kube = kube
        self._belongings = belongings
        self._termination_seconds = termination_seconds

    async def build(self, work: Work) -> list[Object]:
        """The objects, labelled. Raises StepFailed(SecretStoreMissing) where nobody would know
        them, or nobody could read the vault."""
        references = work.spec.secrets
        if not references:
            return []
        api = _api_in_use(work) or await self._api_of_cluster()
        try:
            objects = secret_objects(references, work.spec.namespace, api)
        except StoreUndecided as error:
            raise StepFailed(ReasonCode.SECRET_STORE_MISSING, str(error), final=True) from error
        refuse_forbidden(work.spec.namespace, map(key_of, objects), work.allowed_namespaces)
        own = {EXTENSION_LABEL: work.name, MANAGED_BY_LABEL: "arcbridge"}
        return [labelled(obj, own) for obj in objects]

    async def apply(
        self, work: Work, objects: Sequence[Object], *, failure: ReasonCode
    ) -> ExtensionRecord:
        """Apply them, remembered before they exist; the record, saved."""
        if not objects:
            return work.record
        union = dict.fromkeys([*work.record.secrets, *_items(objects)])
        record = work.record.model_copy(update={"secrets": tuple(union)})
        kube = acting_for(self._kube, work.as_user)
        with self._belongings.applying(work.name, map(key_of, objects)):
            live = await load_live(self._kube, work.name, objects)
            await self._belongings.refuse_others(work.name, live.values())
            await work.save(record)
            await apply_objects(kube, objects, failure=failure, force=True)
        return record

    async def prune(self, work: Work, objects: Sequence[Object]) -> ExtensionRecord:
        """Delete what is not among `objects` any more, once nothing uses it; the record, saved."""
        record = work.record.model_copy(update={"secrets": _items(objects)})
        if record.secrets == work.record.secrets:
            return record
        unwanted = superfluous((item.ref for item in work.record.secrets), map(key_of, objects))
        await delete_as_applied(
            self._kube,
            work.name,
            unwanted,
            work.record.secrets,
            work.as_user,
            seconds=self._termination_seconds,
        )
        await work.save(record)
        return record

    async def remove(self, record: ExtensionRecord) -> None:
        """Delete what the record has. Raises StepFailed(UninstallFailed)."""
        refs = superfluous((item.ref for item in record.secrets), ())
        try:
            await delete_as_applied(
                self._kube,
                record.extension,
                refs,
                record.secrets,
                record.as_user,
                seconds=self._termination_seconds,
            )
        except StepFailed as error:
            raise StepFailed(ReasonCode.UNINSTALL_FAILED, str(error)) from error

    async def _api_of_cluster(self) -> SecretApi:
        for api in SecretApi:
            try:
                await self._kube.resource(api.value, api.kind)
            except KubeNotFound:
                continue
            return api
        raise StepFailed(
            ReasonCode.SECRET_STORE_MISSING,
            "the cluster has neither the Secrets Store CSI driver (SecretProviderClass) nor the "
            "External Secrets operator (ExternalSecret): install one of them",
        )


def _items(objects: Iterable[Object]) -> tuple[InventoryItem, ...]:
    return tuple(InventoryItem.of(ref_of(obj)) for obj in objects)


def refuse_twice(secrets: Iterable[Object], others: Iterable[ObjectKey]) -> None:
    """Raise StepFailed(BuildFailed) where the source brings an object that a reference makes."""
    taken = set(others)
    for obj in secrets:
        if (key := key_of(obj)) in taken:
            raise StepFailed(
                ReasonCode.BUILD_FAILED,
                f"{key} is in the source and made from secrets, too: rename one of them",
                final=True,
            )


def _api_in_use(work: Work) -> SecretApi | None:
    """The API of the objects that stand there from this very content."""
    if work.record.content_digest != work.content_digest:
        return None
    known = {(api.value, api.kind): api for api in SecretApi}
    items = (*work.record.secrets, *work.record.inventory)
    found = (known.get((item.api_version, item.kind)) for item in items)
    return next((api for api in found if api is not None), None)
