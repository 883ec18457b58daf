"""Whether a live object is what its spec asks for: the kstatus algorithm, for any kind.

Pure: it looks at one object, whatever shape that is in, and calls nobody. An object whose
controller has not seen its newest generation is never ready, so the health of what was there before
never counts.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from agent.reconcile.readiness_kinds import RULES
from agent.reconcile.readiness_types import (
    Object,
    ObjectStatus,
    Readiness,
    condition,
    conditions_of,
    current,
    failed,
    generation_at,
    in_progress,
    text_at,
    unknown,
    value_at,
    words_of,
)

__all__ = ["ObjectStatus", "Readiness", "compute"]


def compute(obj: dict[str, Any] | None, *, now: datetime | None = None) -> Readiness:
    """Judge one object; None or an empty one means that it is not there.

    Source: sigs.k8s.io/cli-utils/pkg/kstatus. `now` matters only to pods that cannot be scheduled.
    """
    if not obj:
        return Readiness(ObjectStatus.NOT_FOUND, "Resource not found", "NotFound")
    return (
        _malformed(obj)
        or _terminating(obj)
        or _suspended(obj)
        or _generation(obj)
        or _malformed_conditions(obj)
        or _standard_conditions(obj)
        or _by_kind(obj, now or datetime.now(UTC))
        or _ready_condition(obj)
        or current("Resource is current")
    )


def _malformed(obj: Any) -> Readiness | None:
    """What cannot be read is not taken for health."""
    if not isinstance(obj, dict):
        return unknown("Malformed", "The resource is not an object")
    if any(not isinstance(obj.get(part), dict | None) for part in ("metadata", "status")):
        return unknown("Malformed", "metadata or status is not an object")
    return None


def _terminating(obj: Object) -> Readiness | None:
    if text_at(obj, "metadata", "deletionTimestamp"):
        return Readiness(ObjectStatus.TERMINATING, "Resource scheduled for deletion", "Deleted")
    return None


def _suspended(obj: Object) -> Readiness | None:
    """Flux's controllers look away from what is suspended, and yet some of them say that they have
    seen its newest generation, with the conditions of the one before."""
    group = text_at(obj, "apiVersion").partition("/")[0]
    if group.endswith(".toolkit.fluxcd.io") and value_at(obj, "spec", "suspend") is True:
        return in_progress("Suspended", "It is suspended: Flux applies nothing until it is resumed")
    return None


def _generation(obj: Object) -> Readiness | None:
    generation = generation_at(obj, "metadata", "generation")
    observed = generation_at(obj, "status", "observedGeneration")
    if generation is None or observed is None or generation == observed:
        return None
    kind = text_at(obj, "kind", default="Resource")
    return in_progress(
        "LatestGenerationNotObserved",
        f"{kind} generation is {generation}, but latest observed generation is {observed}",
    )


def _malformed_conditions(obj: Object) -> Readiness | None:
    conditions = value_at(obj, "status", "conditions")
    if conditions is None or (isinstance(conditions, list) and all(map(_is_condition, conditions))):
        return None
    return unknown("Malformed", "status.conditions is not a list of conditions")


def _is_condition(found: Any) -> bool:
    words = ("type", "status", "reason", "message")
    if not isinstance(found, dict):
        return found is None
    return all(isinstance(found.get(word), str | None) for word in words)


def _standard_conditions(obj: Object) -> Readiness | None:
    for found in conditions_of(obj):
        if found["type"] == "Reconciling" and found.get("status") == "True":
            return in_progress(*words_of(found))
        if found["type"] == "Stalled" and found.get("status") == "True":
            return failed(*words_of(found))
    return None


def _by_kind(obj: Object, now: datetime) -> Readiness | None:
    group, _, _ = str(obj.get("apiVersion", "")).rpartition("/")
    # The group that Deployments and DaemonSets lived in before `apps`.
    rule = RULES.get(("apps" if group == "extensions" else group, str(obj.get("kind", ""))))
    return rule(obj, now) if rule else None


def _ready_condition(obj: Object) -> Readiness | None:
    ready = condition(obj, "Ready")
    if ready is None:
        return None
    generation = generation_at(obj, "metadata", "generation")
    observed = generation_at(ready, "observedGeneration")
    if generation is not None and observed is not None and observed < generation:
        return in_progress("LatestGenerationNotObserved", "The Ready condition is an older one")
    if ready.get("status") == "True":
        return current("Resource is Ready")
    if ready.get("status") in ("False", "Unknown"):
        return in_progress(*words_of(ready))
    return unknown("UnknownConditionStatus", f"Ready is {ready.get('status')!r}")
