"""What has to hold after each step, decided on what was seen. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from agent.reconcile.difference import ABSENT
from agent.reconcile.objects import ObjectKey
from agent.reconcile.pointer import covers
from dev.trial.entries import Disturbance
from dev.trial.tools import Object
from dev.trial.witness import PERSON
from shared.contract.status import Difference

_SHOWN = 5
_KEEP = "helm.sh/resource-policy"
_HOOK = "helm.sh/hook"


class NotHeldError(Exception):
    """A step did not end as it must; says what was seen instead."""


def judge_history(history: Sequence[Object], charts: Sequence[str]) -> str:
    """`history: 1 superseded, 2 deployed`. Raises NotHeldError unless helm lists exactly these
    charts, of which the newest is the one that is deployed."""
    told = ", ".join(f"{entry['revision']} {entry['status']}" for entry in history)
    deployed = [entry["revision"] for entry in history if entry["status"] == "deployed"]
    found = [str(entry["chart"]) for entry in history]
    if found != list(charts):
        raise NotHeldError(f"helm history has the charts {found}, not {list(charts)}: {told}")
    if deployed != [history[-1]["revision"]]:
        raise NotHeldError(f"helm history has not one deployed revision, the newest: {told}")
    return f"history: {told}"


def judge_presence(wanted: Iterable[ObjectKey], there: Iterable[ObjectKey]) -> None:
    """Raise NotHeldError where something of a version is missing."""
    if missing := sorted(set(wanted) - set(there)):
        raise NotHeldError(f"missing: {_some(missing)}")


def judge_drift(
    found: Sequence[Difference], edit: Disturbance, before: Any, after: Any
) -> Difference:
    """The difference that tells of an edit. Raises NotHeldError when none does, or when another
    object is said to have changed."""
    here = [d for d in found if (d.object_kind, d.name) == (edit.kind, edit.name)]
    ours = [d for d in here if covers(edit.path, d.path) or covers(d.path, edit.path)]
    if not ours:
        raise NotHeldError(f"not told: what was told is {describe_all(found)}")
    # On the object itself an edit has consequences: a Service that becomes a NodePort gets a port.
    if others := [d for d in found if d not in here]:
        raise NotHeldError(f"told beside it: {describe_all(others)}")
    told = ours[0]
    if after is not ABSENT and PERSON not in told.managers:
        raise NotHeldError(f"told without its manager {PERSON}: {describe_all(ours)}")
    if told.path == edit.path and (
        told.desired != _plain(before) or told.observed != _plain(after)
    ):
        raise NotHeldError(
            f"told as {told.observed!r} instead of {told.desired!r}; "
            f"it is {_plain(after)!r} instead of {_plain(before)!r}"
        )
    return told


def describe_all(found: Sequence[Difference]) -> str:
    """`Deployment web /spec/replicas: 3, not 1, by someone`, for the first few."""
    if not found:
        return "nothing"
    told = [
        f"{d.object_kind} {d.name} {d.path or d.kind.value}: {d.observed!r}, not {d.desired!r}, "
        f"by {', '.join(d.managers) or 'nobody known'}"
        for d in found
    ]
    return _some(told)


def split_left(
    left: Mapping[ObjectKey, Object], promised: Mapping[ObjectKey, Object]
) -> tuple[list[str], list[str]]:
    """(what the source itself wants kept, what should be gone) of what is left.

    helm keeps what is annotated so, what stands in a chart's `crds/` folder and so is in none of
    its manifests, and hooks that no policy of theirs deletes.
    """
    kept, wrong = [], []
    for key, obj in sorted(left.items()):
        annotations = {
            **(promised.get(key, {}).get("metadata", {}).get("annotations") or {}),
            **(obj["metadata"].get("annotations") or {}),
        }
        if annotations.get(_KEEP) == "keep":
            kept.append(f"{key} (resource-policy)")
        elif _HOOK in annotations:
            kept.append(f"{key} (hook)")
        elif key.kind == "CustomResourceDefinition" and not _is_helms(obj):
            kept.append(f"{key} (crds/)")
        else:
            wrong.append(str(key))
    return kept, wrong


def _is_helms(obj: Object) -> bool:
    return "meta.helm.sh/release-name" in (obj["metadata"].get("annotations") or {})


def _plain(value: Any) -> Any:
    return None if value is ABSENT else value


def _some(items: Sequence[Any]) -> str:
    told = "; ".join(map(str, items[:_SHOWN]))
    return told if len(items) <= _SHOWN else f"{told}; and {len(items) - _SHOWN} more"
