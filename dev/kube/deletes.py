"""Deletion: preconditions, finalizers, grace, and whole collections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dev.kube import errors
from dev.kube.intake import How
from dev.kube.resources import Resource
from dev.kube.schema import Json
from dev.kube.selectors import Matcher
from dev.kube.store import Record
from dev.kube.writes import Home, fetch

ORPHAN, FOREGROUND, BACKGROUND = "Orphan", "Foreground", "Background"
_POLICY_FINALIZERS: Final = {ORPHAN: "orphan", FOREGROUND: "foregroundDeletion"}
_JOB_WARNING: Final = (
    "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background "
    "to remove them or set propagationPolicy=Orphan to suppress this warning"
)


@dataclass(frozen=True)
class DeleteOptions:
    """What a DELETE request asks for (`meta/v1 DeleteOptions`)."""

    grace_seconds: int | None = None
    propagation: str = ""
    uid: str = ""
    version: str = ""

    @classmethod
    def read(cls, body: Json, query: dict[str, str]) -> DeleteOptions:
        """From the request's body, else from its query."""
        preconditions = body.get("preconditions") or {}
        grace = body.get("gracePeriodSeconds", query.get("gracePeriodSeconds"))
        orphan = body.get("orphanDependents")
        policy = body.get("propagationPolicy") or query.get("propagationPolicy") or ""
        if orphan is not None and not policy:
            policy = ORPHAN if orphan else BACKGROUND
        if policy not in {"", ORPHAN, FOREGROUND, BACKGROUND}:
            allowed = [FOREGROUND, BACKGROUND, ORPHAN]
            cause = errors.not_supported("propagationPolicy", policy, allowed)
            raise errors.invalid("DeleteOptions", "meta.k8s.io", "", [cause])
        return cls(
            grace_seconds=int(grace) if grace is not None else None,
            propagation=policy,
            uid=preconditions.get("uid") or "",
            version=preconditions.get("resourceVersion") or "",
        )


def delete(
    home: Home, resource: Resource, namespace: str, name: str, options: DeleteOptions, how: How
) -> tuple[Record, bool]:
    """Delete an object. Returns its last record and whether it is gone already."""
    record = fetch(home, resource, namespace, name)
    _check(resource, record, options)
    if how.dry_run:
        return record, True
    return delete_record(home, resource, record, options, how)


def _check(resource: Resource, record: Record, options: DeleteOptions) -> None:
    metadata = record.obj["metadata"]
    for word, wanted, have, happened in (
        ("UID", options.uid, metadata["uid"], "deleted and then recreated"),
        ("ResourceVersion", options.version, metadata["resourceVersion"], "modified"),
    ):
        if wanted and wanted != have:
            why = (
                f"the {word} in the precondition ({wanted}) does not match the {word} in record "
                f"({have}). The object might have been {happened}"
            )
            raise errors.conflict(resource.kind, resource.group, metadata["name"], why)


def delete_record(
    home: Home, resource: Resource, record: Record, options: DeleteOptions, how: How
) -> tuple[Record, bool]:
    """Delete what is known to exist: at once, or marked until its finalizers have run."""
    old = record.obj
    finalizers = _finalizers(resource, old, options, how)
    grace = _grace(resource, old, options)
    held = finalizers or grace or (resource.kind == "Namespace" and not resource.custom)
    if not held:
        if finalizers != list(old["metadata"].get("finalizers") or ()):
            record = home.store.put(resource.storage, _with_finalizers(old, finalizers))
        return home.store.remove(resource.storage, record.key), True
    if old["metadata"].get("deletionTimestamp"):
        unchanged = finalizers == list(old["metadata"].get("finalizers") or ())
        shorter = grace < (old["metadata"].get("deletionGracePeriodSeconds") or 0)
        if unchanged and not shorter:
            return record, False
    new = _with_finalizers(old, finalizers)
    metadata = new["metadata"]
    metadata["deletionTimestamp"] = metadata.get("deletionTimestamp") or home.now()
    metadata["deletionGracePeriodSeconds"] = grace
    if metadata.get("generation") and not old["metadata"].get("deletionTimestamp"):
        metadata["generation"] += 1
    if resource.kind == "Namespace" and not resource.custom:
        new["status"] = {**(new.get("status") or {}), "phase": "Terminating"}
    return home.store.put(resource.storage, new), False


def _with_finalizers(old: Json, finalizers: list[str]) -> Json:
    metadata = {**old["metadata"], "finalizers": finalizers}
    if not finalizers:
        del metadata["finalizers"]
    return {**old, "metadata": metadata}


def _finalizers(resource: Resource, obj: Json, options: DeleteOptions, how: How) -> list[str]:
    have = list(obj["metadata"].get("finalizers") or ())
    policy = options.propagation
    decided = any(mark in have for mark in _POLICY_FINALIZERS.values())
    if not policy and not decided and resource.storage == ("batch", "jobs"):
        policy = ORPHAN
        how.warnings.append(_JOB_WARNING)
    if not policy:
        return have
    have = [item for item in have if item not in _POLICY_FINALIZERS.values()]
    wanted = _POLICY_FINALIZERS.get(policy)
    return [*have, wanted] if wanted else have


def _grace(resource: Resource, obj: Json, options: DeleteOptions) -> int:
    """Seconds a pod is given to stop; 0 for everything else and for pods that do not run."""
    if resource.storage != ("", "pods"):
        return 0
    running = obj["spec"].get("nodeName") and (obj.get("status") or {}).get("phase") not in {
        "Succeeded",
        "Failed",
    }
    if not running:
        return 0
    if options.grace_seconds is not None:
        return options.grace_seconds
    return int(obj["spec"].get("terminationGracePeriodSeconds", 30))


def delete_collection(
    home: Home,
    resource: Resource,
    namespace: str | None,
    matchers: list[Matcher],
    options: DeleteOptions,
    how: How,
) -> list[Record]:
    """Delete every object that all matchers accept; returns their last records."""
    chosen = [
        record
        for record in home.store.bucket(resource.storage).after(namespace, None)
        if all(matches(record.obj) for matches in matchers)
    ]
    if how.dry_run:
        return chosen
    return [delete_record(home, resource, record, options, how)[0] for record in chosen]
