"""Helm extensions: observe the release's state, choose, act, and look at what stands there.

The state comes from Helm's own records in the cluster and from nowhere else, so an agent that was
killed at any point goes on from what is really there. A failed upgrade is reported and not undone:
which revision to go back to is the control plane's decision.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from agent.drivers.archive import read_crds
from agent.drivers.charts import Chart, Charts
from agent.drivers.helm import Helm, HelmTarget, Upgrade
from agent.errors import KubeConflict, KubeNotFound, StepFailed, ToolError
from agent.kube.client import KubeClient
from agent.reconcile.apply import apply_objects, bounded_gather, live_resource
from agent.reconcile.artifact_credentials import ArtifactCredentials
from agent.reconcile.belongings import Belongings
from agent.reconcile.deleting import delete_as_applied
from agent.reconcile.edited_keys import forget_restorer, make_way_where_refused
from agent.reconcile.going import is_going
from agent.reconcile.helm_failures import (
    helm_failure,
    is_passing,
    is_refused,
    lacks_kind,
    someone_elses,
    uninstall_failure,
)
from agent.reconcile.hook_trouble import with_hook_trouble
from agent.reconcile.live import get_or_none
from agent.reconcile.marking import is_marked, mark
from agent.reconcile.namespaces import refuse_forbidden
from agent.reconcile.objects import (
    EXTENSION_LABEL,
    HELM_NAME_ANNOTATION,
    HELM_NAMESPACE_ANNOTATION,
    MANAGED_BY_LABEL,
    Object,
    ObjectRef,
    key_of,
    labelled,
    labels_of,
    ref_of,
)
from agent.reconcile.placement import ensure_namespace, placed_objects
from agent.reconcile.prune import refuse_above_cap, superfluous
from agent.reconcile.record import ExtensionRecord, InventoryItem
from agent.reconcile.referenced_secrets import ReferencedSecrets, refuse_twice
from agent.reconcile.releases import (
    DESCRIPTION,
    OWNER_LABEL,
    SECRETS,
    SPEC_LABEL,
    ReleaseState,
    Revision,
    decode_release,
    failed_before,
    find_releases,
    load_revisions,
    made_by_agent,
    never_taken_over,
    spec_mark,
    state_of,
    unlocked,
)
from agent.reconcile.unreadable import forget_unreadable, set_aside_unreadable
from agent.reconcile.work import HISTORY_STAYS, REMOVED, Action, Applied, Work, acting_for
from shared.contract.helm_source import CrdPolicy, HelmSource
from shared.contract.reasons import ReasonCode
from shared.contract.states import ExtensionPhase
from shared.telemetry.logs import get_logger

log = get_logger(__name__)

HELM_MANAGER = "helm"
"""The field manager of helm's own server-side apply."""
_HOOK_SECONDS_MIN = 30.0
_REMOVE_SECONDS = 120.0


class HelmDeployer:
    """Deploys charts with the real helm."""

    def __init__(
        self,
        kube: KubeClient,
        helm: Helm,
        charts: Charts,
        secrets: ReferencedSecrets,
        credentials: ArtifactCredentials,
        belongings: Belongings,
        *,
        prune_cap: int,
        own_pending_seconds: float,
        foreign_pending_seconds: float,
    ) -> None:
        self._kube = kube
        self._helm = helm
        self._charts = charts
        self._secrets = secrets
        self._credentials = credentials
        self._belongings = belongings
        self._prune_cap = prune_cap
        self._own_pending = own_pending_seconds
        self._foreign_pending = foreign_pending_seconds

    async def plan(self, work: Work) -> Action:
        """Install, upgrade, or nothing when the newest revision is deployed from this content."""
        revisions = await load_revisions(self._kube, work.spec.namespace, work.name)
        if revisions and not made_by_agent(revisions[0]):
            # A person's `helm upgrade` or `helm rollback` keeps our labels, but not our words.
            return Action.UPGRADE
        return _action(state_of(revisions, spec_mark(work.content_digest)), revisions)

    async def rehearse(self, work: Work) -> None:
        """Fetch and render, whoever has what the chart brings now. Raises StepFailed."""
        refuse_forbidden(work.spec.namespace, (), work.allowed_namespaces)
        await self._secrets.build(work)
        chart = await self.obtain(work)
        if chart.facts.has_crds:
            return  # helm renders nothing of kinds that are yet to come
        upgrade = replace(_upgrade(work, chart), take_ownership=True)
        try:
            rendered = await self._helm.render(self._target(work), upgrade)
        except ToolError as error:
            raise helm_failure(error, first=True) from error
        objects = await placed_objects(self._kube, rendered, work.spec.namespace)
        refuse_forbidden(work.spec.namespace, map(key_of, objects), work.allowed_namespaces)

    async def deploy(self, work: Work, action: Action) -> Applied:
        """Bring the release to the work's spec, and its objects under the extension's label."""
        started = time.monotonic()
        fetched = started
        secrets = await self._secrets.build(work)
        if action is not Action.NONE:
            chart = await self.obtain(work)
            fetched = time.monotonic()
            work = await self._act(work, chart, secrets, first=action is Action.INSTALL)
            work = replace(work, record=await self._secrets.prune(work, secrets))
        revisions = await self._deployed(work)
        release = decode_release(revisions[0].secret)
        objects = await self._objects(work, release)
        half_made = await self._half_made(work, failed_before(revisions))
        await self._delete_forgotten(work, release, objects, half_made)
        refuse_twice(secrets, map(key_of, objects))
        record = await self._remember(work, objects)
        live = [
            *await self._adopt_all(work, objects),
            *await bounded_gather([get_or_none(self._kube, obj) for obj in secrets]),
        ]
        record = record.model_copy(update={"content_digest": work.content_digest})
        await work.save(record)
        return Applied(
            objects=(*secrets, *objects),
            manager=HELM_MANAGER,
            own=frozenset(map(key_of, secrets)),
            record=record,
            live={key_of(obj): obj for obj in live if obj is not None},
            as_user=work.as_user,
            prove=self._tests(work),
            fetch_seconds=fetched - started,
            apply_seconds=time.monotonic() - fetched,
        )

    async def obtain(self, work: Work) -> Chart:
        """The work's chart, checked. Raises StepFailed."""
        access = self._credentials.access(work)
        return await self._charts.obtain(helm_source(work), access, fresh=work.attempt > 1)

    def _target(self, work: Work) -> HelmTarget:
        return HelmTarget(work.name, work.spec.namespace, work.as_user or self._kube.as_user)

    def _tests(self, work: Work) -> Callable[[], Awaitable[None]] | None:
        """Runs the chart's tests, for a release that asks for it and has not passed them yet."""
        passed = work.record.is_for(work.desired) and work.record.phase is ExtensionPhase.READY
        if not helm_source(work).test or passed:
            return None
        target = self._target(work)
        seconds = max(_HOOK_SECONDS_MIN, work.spec.readiness.timeout.total_seconds())

        async def run() -> None:
            try:
                await self._helm.test(target, timeout_seconds=seconds)
            except ToolError as error:
                failed = StepFailed(ReasonCode.TEST_FAILED, str(error), final=True)
                raise await with_hook_trouble(
                    self._kube, failed, target.namespace, target.release, events=("test",)
                ) from error

        return run

    async def remove(self, record: ExtensionRecord) -> str:
        """Uninstall the release, wherever it is, and take its secrets away; none is success."""
        said = await self._leave_releases(record)
        await self._secrets.remove(record)
        return said or (HISTORY_STAYS if record.keep_history else REMOVED)

    async def _leave_releases(self, record: ExtensionRecord) -> str:
        """Uninstall what is the extension's; what is to be said of releases that are not."""
        places = await find_releases(self._kube, record.extension)
        said = [
            await self._leave_release(record, namespace, release)
            for namespace, release in sorted(places | {(record.namespace, record.extension)})
        ]
        return "; ".join(filter(None, said))

    async def _leave_release(self, record: ExtensionRecord, namespace: str, release: str) -> str:
        revisions = await load_revisions(self._kube, namespace, release)
        if not revisions:
            return ""
        if not any(revision.extension == record.extension for revision in revisions):
            return f"The release {release} in {namespace} is someone else's, and stays"
        readable = [revision for revision in revisions if revision.is_readable]
        said = await self._uninstall(record, namespace, release, readable) if readable else ""
        lost = [r for r in revisions if not r.is_readable and r.extension == record.extension]
        if lost and not said:
            # helm knows nothing of what only these had brought.
            await self._delete_inventory(record)
        await forget_unreadable(self._kube, namespace, record.extension, lost)
        return said

    async def _uninstall(
        self, record: ExtensionRecord, namespace: str, release: str, revisions: list[Revision]
    ) -> str:
        """Have helm take a release away, or back to what it was before it was the extension's."""
        target = HelmTarget(release, namespace, record.as_user or self._kube.as_user)
        if record.keep_history and state_of(revisions, "") is ReleaseState.UNINSTALLED:
            return ""  # helm calls it an error to do so twice
        await self._recover(revisions)
        before = never_taken_over(revisions, record.extension)
        try:
            if before is None:
                await self._helm.uninstall(
                    target, timeout_seconds=_REMOVE_SECONDS, keep_history=record.keep_history
                )
                return ""
            await self._helm.rollback(
                target,
                before.version,
                timeout_seconds=_REMOVE_SECONDS,
                description="As it was before ArcBridge",
            )
        except ToolError as error:
            failed = uninstall_failure(error)
            raise await with_hook_trouble(
                self._kube, failed, namespace, release, events=("pre-delete", "post-delete")
            ) from error
        return f"The release {release} in {namespace} is as it was before"

    async def _delete_inventory(self, record: ExtensionRecord) -> None:
        refs = superfluous((item.ref for item in record.inventory), ())
        await delete_as_applied(
            self._kube,
            record.extension,
            refs,
            record.inventory,
            record.as_user,
            seconds=_REMOVE_SECONDS,
            found=record.found,
        )

    async def _act(self, work: Work, chart: Chart, secrets: list[Object], *, first: bool) -> Work:
        """Install or upgrade; the work with what is remembered by then."""
        namespace = work.spec.namespace
        target, upgrade = self._target(work), _upgrade(work, chart)
        await self._refuse(work, chart, target, upgrade, first=first)
        failure = ReasonCode.INSTALL_FAILED if first else ReasonCode.UPGRADE_FAILED
        revisions = await load_revisions(self._kube, namespace, work.name)
        revisions = await set_aside_unreadable(self._kube, revisions, work.name, failure)
        recovered = await self._recover(revisions)
        if state_of(revisions, "") is ReleaseState.FAILED_INSTALL and not recovered:
            # Nothing of it ever worked: what a half install left behind must not hinder the next.
            await self._uninstall_failed(target)
        await ensure_namespace(self._kube, namespace)
        work = replace(work, record=await self._secrets.apply(work, secrets, failure=failure))
        match helm_source(work).crds:
            case CrdPolicy.CREATE_REPLACE:
                await self.replace_crds(work, chart, failure)
            case CrdPolicy.CREATE if chart.facts.has_crds and not first:
                await self._create_crds(work, chart, failure)
        try:
            await self._upgrade_over_edits(work, target, upgrade)
        except ToolError as error:
            failed = await self._failure(work, error, first=first)
            raise await with_hook_trouble(
                self._kube, failed, namespace, work.name, before=revisions
            ) from error
        return work

    async def _failure(self, work: Work, error: ToolError, *, first: bool) -> StepFailed:
        """What helm's words mean. Raises StepFailed(ApplyConflict) where another extension has what
        helm did not make."""
        named = someone_elses(error)
        if named is not None:
            await self._belongings.refuse_named(work.name, *named)
        return helm_failure(error, first=first)

    async def _upgrade_over_edits(self, work: Work, target: HelmTarget, upgrade: Upgrade) -> None:
        """Upgrade, and once more where edits of lists' keys stood in the way. Raises ToolError."""
        try:
            await self._helm.upgrade(target, upgrade)
        except ToolError as error:
            if not (is_refused(error) and await self._make_way(work)):
                raise
            await self._helm.upgrade(target, upgrade)

    async def _make_way(self, work: Work) -> bool:
        """Set right what the newest revision, which failed, could not be applied to; True when
        anything was."""
        revisions = await load_revisions(self._kube, work.spec.namespace, work.name)
        if not revisions or revisions[0].mark != spec_mark(work.content_digest):
            return False
        kube = acting_for(self._kube, work.as_user)

        async def make_way(obj: Object) -> bool:
            resource = await live_resource(self._kube, obj)
            return await make_way_where_refused(kube, resource, obj, manager=HELM_MANAGER)

        objects = await self._objects(work, decode_release(revisions[0].secret))
        made = any(await bounded_gather([make_way(obj) for obj in objects]))
        if made:
            log.info("edited keys of lists set right", extension=work.name)
        return made

    async def _refuse(
        self, work: Work, chart: Chart, target: HelmTarget, upgrade: Upgrade, *, first: bool
    ) -> None:
        """Check what helm would apply and delete, before it does anything.

        Rendering costs a helm: only where something may be forbidden, or enough is there for a
        deletion above the cap.
        """
        allowed = work.allowed_namespaces
        guarded = work.record.guarded()
        if allowed is None and len(guarded) <= self._prune_cap:
            return
        refuse_forbidden(work.spec.namespace, (), allowed)
        brings_crds = chart.facts.has_crds and helm_source(work).crds is not CrdPolicy.SKIP
        if allowed is not None and brings_crds:
            raise StepFailed(
                ReasonCode.NAMESPACE_FORBIDDEN,
                "the chart brings CRDs, which the cluster's allowedNamespaces do not permit",
                final=True,
            )
        try:
            rendered = await self._render(work, chart, target, upgrade, with_crds=brings_crds)
        except ToolError as error:
            raise await self._failure(work, error, first=first) from error
        objects = await placed_objects(self._kube, rendered, work.spec.namespace)
        keys = [key_of(obj) for obj in objects]
        refuse_forbidden(work.spec.namespace, keys, allowed)
        refuse_above_cap(guarded, keys, self._prune_cap)

    async def _render(
        self, work: Work, chart: Chart, target: HelmTarget, upgrade: Upgrade, *, with_crds: bool
    ) -> str:
        """What the upgrade would apply. helm renders no objects of kinds that are yet to come, and
        so the CRDs that the chart brings have to be there first. Raises ToolError."""
        try:
            return await self._helm.render(target, upgrade)
        except ToolError as error:
            if not (with_crds and lacks_kind(error)):
                raise
            await self._create_crds(work, chart, ReasonCode.UPGRADE_FAILED)
            return await self._helm.render(target, upgrade)

    async def replace_crds(self, work: Work, chart: Chart, failure: ReasonCode) -> None:
        """Bring the chart's CRDs to what it says: helm itself never changes one that exists."""
        objects = await self._crds(work, chart)
        kube = acting_for(self._kube, work.as_user)
        await apply_objects(kube, objects, failure=failure, force=True)

    async def _create_crds(self, work: Work, chart: Chart, failure: ReasonCode) -> None:
        """Make the chart's CRDs that are missing: helm itself does so with an install alone, and a
        later version of a chart may bring more of them."""
        objects = await self._crds(work, chart)
        kube = acting_for(self._kube, work.as_user)
        live = await bounded_gather([get_or_none(self._kube, obj) for obj in objects])
        missing = [obj for obj, there in zip(objects, live, strict=True) if there is None]
        await apply_objects(kube, missing, failure=failure, force=False)

    async def _crds(self, work: Work, chart: Chart) -> list[Object]:
        texts = await asyncio.to_thread(read_crds, chart.path)
        return await placed_objects(self._kube, "\n---\n".join(texts), work.spec.namespace)

    async def _recover(self, revisions: list[Revision]) -> bool:
        """Free a release that a killed helm left pending. True when it did.

        A helm that still works on it moves its Secret sooner or later; ours dies with the agent,
        so a pending revision of ours needs only a short look.
        """
        if not revisions or state_of(revisions, "") is not ReleaseState.PENDING:
            return False
        newest = revisions[0]
        meta = newest.secret["metadata"]
        await asyncio.sleep(self._own_pending if newest.extension else self._foreign_pending)
        try:
            await self._kube.replace(SECRETS, unlocked(newest, "Its helm was killed: freed"))
        except (KubeConflict, KubeNotFound) as error:
            raise StepFailed(
                ReasonCode.UPGRADE_FAILED, f"another helm is at work on {meta['name']}"
            ) from error
        log.warning("pending release freed", release=meta["name"], status=newest.status)
        return True

    async def _uninstall_failed(self, target: HelmTarget) -> None:
        try:
            await self._helm.uninstall(
                target, timeout_seconds=_HOOK_SECONDS_MIN, keep_history=False, hooks=False
            )
        except ToolError as error:
            raise StepFailed(
                ReasonCode.INSTALL_FAILED,
                f"a failed install could not be cleared: {error}",
                passing=is_passing(error),
            ) from error

    async def _deployed(self, work: Work) -> list[Revision]:
        """The release's revisions, the first of which is deployed."""
        revisions = await load_revisions(self._kube, work.spec.namespace, work.name)
        if not revisions or revisions[0].status != "deployed":
            raise StepFailed(ReasonCode.UPGRADE_FAILED, "the release is not deployed after all")
        return revisions

    async def _half_made(self, work: Work, failed: list[Revision]) -> list[ObjectRef]:
        """What revisions that failed may have made."""
        refs = []
        for revision in failed:
            with suppress(StepFailed):  # helm itself made nothing of what cannot be placed
                objects = await self._objects(work, decode_release(revision.secret))
                refs += [ref_of(obj) for obj in objects]
        return refs

    async def _objects(self, work: Work, release: dict[str, Any]) -> list[Object]:
        """The objects of a release, hooks apart, as helm applies them."""
        manifest = str(release.get("manifest", ""))
        objects = await placed_objects(self._kube, manifest, work.spec.namespace)
        return [_as_helm_applies(obj, work.name, work.spec.namespace) for obj in objects]

    async def _delete_forgotten(
        self,
        work: Work,
        release: dict[str, Any],
        objects: list[Object],
        half_made: list[ObjectRef],
    ) -> None:
        """Delete what the extension had and helm left behind: helm passes over what it may not
        delete, over revisions that it cannot read, and over what an upgrade made that failed.
        Raises StepFailed(PruneFailed)."""
        before = [*(item.ref for item in work.record.inventory), *half_made]
        if not superfluous(before, map(key_of, objects)):
            return
        texts = [str(hook.get("manifest", "")) for hook in release.get("hooks") or ()]
        hooks = await placed_objects(self._kube, "\n---\n".join(texts), work.spec.namespace)
        unwanted = superfluous(before, map(key_of, (*objects, *hooks)))
        answers = await bounded_gather([self._left(work, ref) for ref in unwanted])
        left = [live for live in answers if live is not None]
        kube = acting_for(self._kube, work.as_user)
        # What was never deployed has no label yet, and only what has it is deleted.
        bare = [live for live in left if not is_marked(live, work.name)]
        await bounded_gather([mark(kube, live, work.name) for live in bare])
        refs = superfluous(map(ref_of, left), ())
        await delete_as_applied(
            self._kube,
            work.name,
            refs,
            work.record.inventory,
            work.as_user,
            seconds=_REMOVE_SECONDS,
        )

    async def _left(self, work: Work, ref: ObjectRef) -> Object | None:
        """An object that helm knows as this release's, and that nobody is deleting."""
        meta = {"name": ref.name, "namespace": ref.namespace or None}
        live = await get_or_none(
            self._kube, {"apiVersion": ref.api_version, "kind": ref.kind, "metadata": meta}
        )
        if live is None or live["metadata"].get("deletionTimestamp"):
            return None
        if labels_of(live).get(EXTENSION_LABEL, work.name) != work.name:
            return None
        marks = live["metadata"].get("annotations") or {}
        release = (marks.get(HELM_NAME_ANNOTATION), marks.get(HELM_NAMESPACE_ANNOTATION))
        return live if release == (work.name, work.spec.namespace) else None

    async def _remember(self, work: Work, objects: list[Object]) -> ExtensionRecord:
        proven = work.record.proven
        inventory = tuple(
            InventoryItem.of(ref_of(obj), fresh=key_of(obj) not in proven) for obj in objects
        )
        if work.record.inventory == inventory:
            return work.record
        return work.record.model_copy(update={"inventory": inventory})

    async def _adopt_all(self, work: Work, objects: list[Object]) -> list[Object | None]:
        """Label the live objects, and make those anew that were being deleted when helm came."""
        live = await bounded_gather([self._adopt(work, obj) for obj in objects])
        going = [obj for obj, there in zip(objects, live, strict=True) if there and is_going(there)]
        if not going:
            return live
        kube, failure = acting_for(self._kube, work.as_user), ReasonCode.UPGRADE_FAILED
        await apply_objects(kube, going, failure=failure, force=True, manager=HELM_MANAGER)
        return await bounded_gather([self._adopt(work, obj) for obj in objects])

    async def _adopt(self, work: Work, obj: Object) -> Object | None:
        """Put the extension's label on a live object, by which it is watched; returns it, or None
        where it is not there. helm has no say in this field, so it never takes it away."""
        key = key_of(obj)
        try:
            resource = await live_resource(self._kube, obj)
            # Only what exists is labelled: an apply would make a hollow object of a missing one.
            live = await self._kube.get(resource, key.name, key.namespace or None)
            kube = acting_for(self._kube, work.as_user)
            live = await forget_restorer(kube, resource, live)
            if is_marked(live, work.name):
                return live
            await self._belongings.refuse_others(work.name, [live])
            return await mark(kube, live, work.name)
        except (KubeNotFound, KubeConflict):
            return None


def _action(state: ReleaseState, revisions: list[Revision]) -> Action:
    match state:
        case ReleaseState.IN_SYNC:
            return Action.NONE
        case ReleaseState.ABSENT | ReleaseState.FAILED_INSTALL | ReleaseState.UNINSTALLED:
            return Action.INSTALL
        case ReleaseState.PENDING:
            return Action.INSTALL if len(revisions) == 1 else Action.UPGRADE
        case ReleaseState.FOREIGN | ReleaseState.OUT_OF_SYNC | ReleaseState.FAILED:
            return Action.UPGRADE


def _upgrade(work: Work, chart: Chart) -> Upgrade:
    return Upgrade(
        chart=chart.path,
        values=work.spec.values,
        labels={OWNER_LABEL: work.name, SPEC_LABEL: spec_mark(work.content_digest)},
        timeout_seconds=max(_HOOK_SECONDS_MIN, work.spec.readiness.timeout.total_seconds()),
        skip_crds=helm_source(work).crds is not CrdPolicy.CREATE,
        description=f"{DESCRIPTION} {work.desired.revision}",
    )


def helm_source(work: Work) -> HelmSource:
    """The work's chart. Raises StepFailed for a work of another kind."""
    if work.spec.source.helm is None:
        raise StepFailed(ReasonCode.BUILD_FAILED, "not a helm extension", final=True)
    return work.spec.source.helm


def _as_helm_applies(obj: Object, release: str, namespace: str) -> Object:
    """helm adds these to what it renders; leaving them out of a dry run would look like drift."""
    stamped = labelled(obj, {MANAGED_BY_LABEL: "Helm"})
    annotations = stamped["metadata"].get("annotations") or {}
    stamped["metadata"]["annotations"] = {
        **annotations,
        HELM_NAME_ANNOTATION: release,
        HELM_NAMESPACE_ANNOTATION: namespace,
    }
    return stamped
