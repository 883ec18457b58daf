"""Extensions that are a list of objects: build, apply in order, delete what is no longer wanted.

The inventory is the union of what was and what will be before anything is created, and what is
there once everything unwanted is gone: so an object is never forgotten, whenever the agent dies.
What someone else had made before is marked in it, and is given back instead of deleted until the
extension was ready with it.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Collection, Sequence

from agent.drivers.kustomize import Kustomize
from agent.drivers.overlays import Overlays
from agent.errors import KubeForbidden, StepFailed
from agent.kube.client import FIELD_MANAGER, KubeClient
from agent.reconcile.apply import apply_objects, bounded_gather
from agent.reconcile.artifact_credentials import ArtifactCredentials
from agent.reconcile.belongings import Belongings
from agent.reconcile.deleting import delete_as_applied
from agent.reconcile.live import get_or_none, load_live
from agent.reconcile.namespaces import refuse_forbidden
from agent.reconcile.objects import (
    EXTENSION_LABEL,
    MANAGED_BY_LABEL,
    Object,
    ObjectKey,
    ObjectRef,
    key_of,
    labelled,
    ref_of,
)
from agent.reconcile.placement import ensure_namespace, placed_objects
from agent.reconcile.prune import is_ours, refuse_above_cap, superfluous
from agent.reconcile.record import ExtensionRecord, InventoryItem
from agent.reconcile.referenced_secrets import ReferencedSecrets, refuse_twice
from agent.reconcile.work import REMOVED, Action, Applied, Work, acting_for
from shared.contract.extension import DriftMode
from shared.contract.reasons import ReasonCode

Build = Callable[[Work], Awaitable[list[Object]]]
"""Makes the objects of a work, in their namespaces. Raises StepFailed."""


def kustomize_build(
    kube: KubeClient, kustomize: Kustomize, overlays: Overlays, credentials: ArtifactCredentials
) -> Build:
    """Builds overlays."""

    async def build(work: Work) -> list[Object]:
        source = work.spec.source.kustomize
        if source is None:
            raise StepFailed(ReasonCode.BUILD_FAILED, "not a kustomize extension", final=True)
        files = await overlays.obtain(source, credentials.access(work))
        manifest = await kustomize.build(files, source.path)
        return await placed_objects(kube, manifest, work.spec.namespace)

    return build


class ManifestDeployer:
    """Deploys objects by server-side apply under the field manager `arcbridge`."""

    def __init__(
        self,
        kube: KubeClient,
        build: Build,
        secrets: ReferencedSecrets,
        belongings: Belongings,
        *,
        prune_cap: int,
        termination_seconds: float,
    ) -> None:
        self._kube = kube
        self._make = build
        self._secrets = secrets
        self._belongings = belongings
        self._prune_cap = prune_cap
        self._termination_seconds = termination_seconds

    async def plan(self, work: Work) -> Action:
        """Nothing when this content was applied in full."""
        if work.record.content_digest == work.content_digest:
            return Action.NONE
        return Action.UPGRADE if work.record.installed else Action.INSTALL

    async def rehearse(self, work: Work) -> None:
        """Build. Raises StepFailed."""
        await self._build(work)

    async def deploy(self, work: Work, action: Action) -> Applied:
        """Build, and unless there is nothing to do apply and prune."""
        started = time.monotonic()
        objects = await self._build(work)
        built = time.monotonic()
        if action is Action.NONE:
            return Applied(
                tuple(objects),
                FIELD_MANAGER,
                work.record,
                as_user=work.as_user,
                fetch_seconds=built - started,
            )
        keys = [key_of(obj) for obj in objects]
        unwanted = superfluous((item.ref for item in work.record.inventory), keys)
        refuse_above_cap(work.record.guarded(), keys, self._prune_cap)
        wanted = [ref_of(obj) for obj in objects]
        kube = acting_for(self._kube, work.as_user)
        with self._belongings.applying(work.name, keys):
            found = work.record.found | await self._found_anew(work, objects)
            union = _with_inventory(work.record, [*wanted, *unwanted], found, content_digest=None)
            await work.save(union)
            await ensure_namespace(self._kube, work.spec.namespace)
            live = await apply_objects(
                kube,
                objects,
                failure=_failure(action),
                # Where drift is corrected, the declared value wins anyway.
                force=work.spec.drift.mode is DriftMode.CORRECT,
            )
        await delete_as_applied(
            self._kube,
            work.name,
            unwanted,
            union.inventory,
            work.as_user,
            seconds=self._termination_seconds,
            found=found,
        )
        done = _with_inventory(union, wanted, found, content_digest=work.content_digest)
        await work.save(done)
        return Applied(
            objects=tuple(objects),
            manager=FIELD_MANAGER,
            record=done,
            live=live,
            as_user=work.as_user,
            fetch_seconds=built - started,
            apply_seconds=time.monotonic() - built,
        )

    async def remove(self, record: ExtensionRecord) -> str:
        """Delete everything in the inventory."""
        refs = superfluous((item.ref for item in record.inventory), ())
        try:
            await delete_as_applied(
                self._kube,
                record.extension,
                refs,
                record.inventory,
                record.as_user,
                seconds=self._termination_seconds,
                found=record.found,
            )
        except StepFailed as error:
            raise StepFailed(ReasonCode.UNINSTALL_FAILED, str(error)) from error
        return REMOVED

    async def _found_anew(self, work: Work, objects: Sequence[Object]) -> frozenset[ObjectKey]:
        """Those of the objects that are not in the inventory yet, and that someone else made.
        Raises StepFailed(ApplyConflict) where another extension has one of all these objects."""
        known = {item.ref.key for item in work.record.inventory}
        new = [obj for obj in objects if key_of(obj) not in known]
        kube = acting_for(self._kube, work.as_user)
        seen = await bounded_gather([_look(kube, obj) for obj in new])
        live = [*(obj for obj in seen if obj), *await self._known_live(work, objects, known)]
        await self._belongings.refuse_others(work.name, live)
        return frozenset(
            key_of(obj)
            for obj, there in zip(new, seen, strict=True)
            if there is not None and not (there and is_ours(there, work.name))
        )

    async def _known_live(
        self, work: Work, objects: Sequence[Object], known: Collection[ObjectKey]
    ) -> list[Object]:
        """The live objects of the inventory that are still wanted, where the agent may look."""
        wanted = [obj for obj in objects if key_of(obj) in known]
        try:
            return list((await load_live(self._kube, work.name, wanted)).values())
        except KubeForbidden:
            return []

    async def _build(self, work: Work) -> list[Object]:
        objects = await self._make(work)
        refuse_forbidden(work.spec.namespace, map(key_of, objects), work.allowed_namespaces)
        secrets = await self._secrets.build(work)
        refuse_twice(secrets, map(key_of, objects))
        return [*secrets, *(_labelled(obj, work.name) for obj in objects)]


async def _look(kube: KubeClient, obj: Object) -> Object | None:
    """The live object, None where there is none, and an empty one for who may not look: they have
    to suppose that someone else has made it."""
    try:
        return await get_or_none(kube, obj)
    except KubeForbidden:
        return {}


def _labelled(obj: Object, extension: str) -> Object:
    own = obj["metadata"].get("labels") or {}
    managed_by = own.get(MANAGED_BY_LABEL, "arcbridge")
    return labelled(obj, {EXTENSION_LABEL: extension, MANAGED_BY_LABEL: managed_by})


def _with_inventory(
    record: ExtensionRecord,
    refs: Sequence[ObjectRef],
    found: Collection[ObjectKey],
    *,
    content_digest: str | None,
) -> ExtensionRecord:
    proven, done = record.proven, content_digest is not None
    # Once all is applied, all is in the name of who applies it now.
    before = {} if done else {item.ref.key: item.applied_as for item in record.inventory}
    items = tuple(
        InventoryItem.of(
            ref,
            found=ref.key in found,
            fresh=ref.key not in proven,
            applied_as=before.get(ref.key),
        )
        for ref in refs
    )
    installed = record.installed or done
    return record.model_copy(
        update={"inventory": items, "content_digest": content_digest, "installed": installed}
    )


def _failure(action: Action) -> ReasonCode:
    return ReasonCode.INSTALL_FAILED if action is Action.INSTALL else ReasonCode.UPGRADE_FAILED
