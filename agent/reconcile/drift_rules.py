"""Which differences count as drift: ignore rules, accepted drift, and how they are told. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agent.reconcile.difference import ABSENT, FieldDifference, compare_objects, hide_secret
from agent.reconcile.objects import Object, ObjectKey, key_of
from agent.reconcile.ownership import managers_of, owners_of
from agent.reconcile.pointer import covers
from shared.contract.canonical import canonical_json
from shared.contract.desired import AcceptedDrift
from shared.contract.extension import DriftIgnore, DriftTarget
from shared.contract.limits import DIFFERENCES_PER_REPORT, STATUS_BODY_BYTES
from shared.contract.status import Difference, DifferenceKind, DriftReport

_VALUE_BYTES = 2048
_REPORT_BYTES = STATUS_BODY_BYTES // 2
"""A report that is larger than a batch may be is refused, and drift would never be told."""
_MANAGERS = 16
_PATH_CHARACTERS = 1024


@dataclass(frozen=True)
class DriftRules:
    """What may differ."""

    ignore: tuple[DriftIgnore, ...] = ()
    accepted: tuple[AcceptedDrift, ...] = ()

    def allow(self, key: ObjectKey, path: str, observed: Any, now: datetime) -> bool:
        """True when this difference is not drift."""
        if any(
            fits(rule.target, key) and any(covers(pattern, path) for pattern in rule.paths)
            for rule in self.ignore
        ):
            return True
        seen = None if observed is ABSENT else observed
        return any(
            fits(entry.target, key)
            and entry.path == path
            and entry.observed == seen
            and now < entry.expires_at
            for entry in self.accepted
        )


def fits(target: DriftTarget, key: ObjectKey) -> bool:
    """True for an object that a rule is for."""
    return all(
        wanted is None or wanted == found
        for wanted, found in (
            (target.group, key.group),
            (target.kind, key.kind),
            (target.name, key.name),
            (target.namespace, key.namespace),
        )
    )


def changed(
    applied: Object, live: Object, rules: DriftRules, now: datetime
) -> tuple[Difference, ...]:
    """How `live` differs from what an apply would make of it."""
    key, api_version = key_of(live), str(live["apiVersion"])
    found = []
    for raw in compare_objects(applied, live):
        told = hide_secret(key.kind, api_version, raw)
        if not rules.allow(key, told.path, _bounded(told.observed), now):
            found.append(_difference(DifferenceKind.CHANGED, api_version, key, told, live, now))
    return tuple(found)


def missing(desired: Object, rules: DriftRules, now: datetime) -> tuple[Difference, ...]:
    """A desired object that is not there."""
    key = key_of(desired)
    if rules.allow(key, "", None, now):
        return ()
    return (_whole(DifferenceKind.MISSING, str(desired["apiVersion"]), key, (), now),)


def extra(live: Object, rules: DriftRules, now: datetime) -> tuple[Difference, ...]:
    """An object under the extension's label that the revision does not render."""
    key = key_of(live)
    if rules.allow(key, "", None, now):
        return ()
    owners = managers_of(live)[:_MANAGERS]
    return (_whole(DifferenceKind.EXTRA, str(live["apiVersion"]), key, owners, now),)


def with_first_seen(
    differences: Iterable[Difference], first_seen: Mapping[str, datetime]
) -> tuple[Difference, ...]:
    """The differences, each with the time at which it was first seen so."""
    return tuple(
        found.model_copy(update={"first_seen": first_seen.get(identity(found), found.first_seen)})
        for found in differences
    )


def identity(found: Difference) -> str:
    """What makes two differences the same: object and path."""
    group = found.api_version.rpartition("/")[0]
    return f"{group}/{found.object_kind}/{found.namespace or ''}/{found.name}{found.path}"


def report(
    differences: Sequence[Difference], *, checked_at: datetime, corrections: int, correction: int
) -> DriftReport:
    """One check's report, cut to what a report may carry."""
    told, left = [], _REPORT_BYTES
    for found in differences[:DIFFERENCES_PER_REPORT]:
        left -= len(found.model_dump_json().encode())
        if left < 0:
            break
        told.append(found)
    return DriftReport(
        checked_at=checked_at,
        differences=tuple(told),
        truncated=len(differences) > len(told),
        corrections=corrections,
        correction=correction,
    )


def describe(differences: Sequence[Difference]) -> str:
    """`3 differences, first Deployment shop/web /spec/replicas by kubectl-edit`."""
    if not differences:
        return "Live objects are what the revision renders"
    first = differences[0]
    place = f"{first.namespace}/" if first.namespace else ""
    by = f" by {', '.join(first.managers)}" if first.managers else ""
    what = first.path or first.kind.value
    count = "1 difference" if len(differences) == 1 else f"{len(differences)} differences, first"
    return f"{count} {first.object_kind} {place}{first.name} {what}{by}"


def _difference(
    kind: DifferenceKind,
    api_version: str,
    key: ObjectKey,
    found: FieldDifference,
    live: Object,
    now: datetime,
) -> Difference:
    owners = owners_of(live, found.tokens) if found.observed is not ABSENT else ()
    return Difference(
        kind=kind,
        api_version=api_version,
        object_kind=key.kind,
        namespace=key.namespace or None,
        name=key.name,
        path=found.path[:_PATH_CHARACTERS],
        desired=_bounded(found.desired),
        observed=_bounded(found.observed),
        managers=owners[:_MANAGERS],
        first_seen=now,
    )


def _whole(
    kind: DifferenceKind, api_version: str, key: ObjectKey, owners: tuple[str, ...], now: datetime
) -> Difference:
    return Difference(
        kind=kind,
        api_version=api_version,
        object_kind=key.kind,
        namespace=key.namespace or None,
        name=key.name,
        managers=owners,
        first_seen=now,
    )


def _bounded(value: Any) -> Any:
    """A value that fits a report; a larger one becomes a sentence about itself."""
    if value is ABSENT:
        return None
    size = len(canonical_json(value))
    return value if size <= _VALUE_BYTES else f"({size} bytes, not shown)"
