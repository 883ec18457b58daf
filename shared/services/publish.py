"""Publish an extension: an immutable revision by its content, and the rollout that brings it out.

The same content again makes no second revision. It starts a rollout again only where the revision
was never proven and nothing brings it out now: after a cancelled or failed rollout, or when its
quarantine was lifted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from shared.contract.canonical import digest
from shared.contract.errors import ErrorCode, FieldError
from shared.contract.extension import ExtensionManifest, ExtensionSpec
from shared.contract.reasons import ReasonCode
from shared.contract.rollout import PublishResult
from shared.contract.states import RolloutKind
from shared.domain.dependencies import find_cycle
from shared.domain.errors import ArcBridgeError
from shared.domain.goals import Goals, goals
from shared.services import artifact_policies, audit, freezes, nudge, pace, quotas
from shared.services.caller import Caller
from shared.services.dependency_gaps import dependency_gaps
from shared.services.failpoints import hit
from shared.services.hot_path import HotPath
from shared.services.standings import standings
from shared.services.start import NewRollout, Started, start
from shared.store.json import jsonb
from shared.store.queries import load
from shared.store.transaction import Row, Transaction
from shared.telemetry.tracing import span

_Q = load("publish")


async def publish(cp: HotPath, caller: Caller, manifest: ExtensionManifest) -> PublishResult:
    """Store the revision and start its rollout.

    Raises PolicyViolated, DependencyCycle with the cycle named, Quarantined for content that is.
    """
    name, spec = manifest.metadata.name, manifest.spec
    with span("extension.publish", parent=caller.traceparent) as current:
        current.set_attribute("arcbridge.extension", name)
        async with cp.db.tenant(caller.tenant) as tx:
            result, started = await _publish(tx, caller, manifest, cp.clock)
            hit("publish.before_commit")
        hit("publish.after_commit")
        if started is not None:
            await pace.fill(cp, caller.tenant, started.rollout_id, spec.rollout)
            await nudge.nudge(cp, caller.tenant, [started.rollout_id])
    return result


async def _publish(
    tx: Transaction, caller: Caller, manifest: ExtensionManifest, clock: Callable[[], datetime]
) -> tuple[PublishResult, Started | None]:
    name = manifest.metadata.name
    await tx.execute(_Q.ensure_extension, tenant=caller.tenant, extension=name)
    row = await tx.one(_Q.lock_extension, tenant=caller.tenant, extension=name)
    if row is None:
        raise AssertionError("the row was made a statement ago")
    now = clock()
    content = await examine(tx, caller.tenant, manifest, row)
    if content.unchanged and row["deleted_at"] is None and not row["deleting"]:
        await _relabel(tx, caller, manifest, row, now)
        if content.brought_out_by is not None:
            return content.result(name), None
    else:
        is_new = row["deleted_at"] is not None or content.number == 1
        await quotas.check_publish(tx, caller.tenant, now, is_new=is_new)
        await _store(tx, caller, manifest, content, now)
    standing = await standings(tx, caller.tenant, name, manifest.spec.depends_on)
    found = goals(manifest.spec, content.number, standing)
    started = await _start(tx, caller, manifest, content.number, found, now)
    bound = [goal.cluster_id for goal in found.targets if not goal.absent]
    warnings = await dependency_gaps(tx, caller.tenant, manifest.spec.depends_on, bound)
    await audit.append(
        tx,
        caller,
        "extension.publish",
        f"extension/{name}",
        message=manifest.reason or f"revision {content.number}",
        data={
            "revision": content.number,
            "digest": content.digest,
            "rollout": str(started.rollout_id),
            "superseded": [str(old) for old in started.superseded],
        },
    )
    return content.result(name, started, warnings), started


@dataclass(frozen=True, slots=True)
class Content:
    """What a manifest would be: the number and digest of its revision."""

    number: int
    digest: str
    unchanged: bool
    """It is the content of the newest revision."""
    brought_out_by: UUID | None = None
    """The rollout that makes another one needless: it runs, or it has proven the revision."""

    def result(
        self,
        extension: str,
        started: Started | None = None,
        warnings: tuple[FieldError, ...] = (),
    ) -> PublishResult:
        """The answer of a publish that started this rollout, or found none needed."""
        return PublishResult(
            extension=extension,
            revision=self.number,
            digest=self.digest,
            created=not self.unchanged,
            rollout_id=started.rollout_id if started else self.brought_out_by,
            started=started is not None,
            superseded=started.superseded if started else (),
            warnings=warnings,
        )


async def examine(
    tx: Transaction, tenant: str, manifest: ExtensionManifest, extension: Row | None
) -> Content:
    """Check a manifest against what is stored. Raises PolicyViolated, DependencyCycle, Quarantined,
    and InvalidRequest for a window that does not exist or a dependency that is being removed.
    """
    name = manifest.metadata.name
    await _check_dependencies(tx, tenant, manifest)
    await freezes.refuse_unknown(tx, tenant, manifest.spec.rollout.windows)
    await artifact_policies.check(tx, tenant, manifest.spec.source)
    found = digest(manifest.spec.to_canonical())
    quarantined = await tx.one(_Q.quarantined_content, tenant=tenant, extension=name, digest=found)
    if quarantined is not None:
        raise ArcBridgeError(
            ErrorCode.QUARANTINED,
            f"this content is revision {quarantined['number']} of {name}, which is quarantined "
            f"({quarantined['quarantine_reason']}): change it, or lift that first: "
            f"arcbridge extension release {name} {quarantined['number']}",
            reason=ReasonCode.SPEC_QUARANTINED,
        )
    newest = extension["newest"] if extension else 0
    last = await tx.one(_Q.revision, tenant=tenant, extension=name, number=newest)
    if extension is None or last is None or last["digest"] != found:
        return Content(newest + 1, found, unchanged=False)
    if extension["deleted_at"] is not None or extension["deleting"]:
        return Content(newest, found, unchanged=True)
    by = await tx.value(_Q.brought_out_by, tenant=tenant, extension=name, revision=newest)
    return Content(newest, found, unchanged=True, brought_out_by=by)


async def _check_dependencies(tx: Transaction, tenant: str, manifest: ExtensionManifest) -> None:
    """Dependencies are held from here on: nobody closes a cycle beside this, or removes one."""
    needed = list(manifest.spec.depends_on)
    if not needed:
        return
    await tx.one(_Q.hold_dependencies, tenant=tenant)
    removed = await tx.all(_Q.being_removed, tenant=tenant, names=needed)
    if removed:
        names = ", ".join(row["name"] for row in removed)
        raise ArcBridgeError(
            ErrorCode.INVALID_REQUEST,
            f"the extension would depend on what is being removed: {names}",
            errors=(FieldError(field="spec.dependsOn", message=f"{names}: being removed"),),
        )
    rows = await tx.all(_Q.dependencies, tenant=tenant)
    graph = {row["name"]: row["depends_on"] for row in rows}
    graph[manifest.metadata.name] = needed
    cycle = find_cycle(graph, manifest.metadata.name)
    if cycle is not None:
        named = " -> ".join(cycle)
        raise ArcBridgeError(
            ErrorCode.DEPENDENCY_CYCLE,
            f"the extension would depend on itself: {named}",
            errors=(FieldError(field="spec.dependsOn", message=f"closes the cycle {named}"),),
        )


async def _relabel(
    tx: Transaction, caller: Caller, manifest: ExtensionManifest, row: Row, now: datetime
) -> None:
    meta = manifest.metadata
    if (row["labels"], row["annotations"]) != (meta.labels, meta.annotations):
        await tx.execute(
            _Q.relabel_extension,
            tenant=caller.tenant,
            extension=meta.name,
            labels=jsonb(meta.labels),
            annotations=jsonb(meta.annotations),
            now=now,
        )


async def _store(
    tx: Transaction, caller: Caller, manifest: ExtensionManifest, content: Content, now: datetime
) -> None:
    meta = manifest.metadata
    if not content.unchanged:
        await tx.execute(
            _Q.insert_revision,
            tenant=caller.tenant,
            extension=meta.name,
            number=content.number,
            digest=content.digest,
            spec=jsonb(manifest.spec.to_canonical()),
            depends_on=list(manifest.spec.depends_on),
            provenance="api",
            reason=manifest.reason,
            created_by=caller.actor,
            now=now,
        )
        await tx.execute(
            _Q.supersede_candidates,
            tenant=caller.tenant,
            extension=meta.name,
            number=content.number,
        )
    await tx.execute(
        _Q.update_extension,
        tenant=caller.tenant,
        extension=meta.name,
        number=content.number,
        labels=jsonb(meta.labels),
        annotations=jsonb(meta.annotations),
        now=now,
    )


async def _start(
    tx: Transaction,
    caller: Caller,
    manifest: ExtensionManifest,
    number: int,
    found: Goals,
    now: datetime,
) -> Started:
    return await start(
        tx,
        caller,
        NewRollout(
            extension=manifest.metadata.name,
            kind=RolloutKind.PUBLISH,
            revision=number,
            strategy=manifest.spec.rollout,
            targets=found.targets,
            specs=found.specs,
            reason=manifest.reason,
        ),
        now,
    )


async def stored_spec(tx: Transaction, tenant: str, extension: str, number: int) -> ExtensionSpec:
    """A revision's spec. Raises NotFound."""
    row = await tx.one(_Q.revision, tenant=tenant, extension=extension, number=number)
    if row is None:
        raise ArcBridgeError(ErrorCode.NOT_FOUND, f"extension {extension} has no revision {number}")
    return ExtensionSpec.model_validate(row["spec"])
