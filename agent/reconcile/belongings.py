"""Which extension an object belongs to: it has one owner, and no other takes it.

All extensions are applied under the same field managers, so the API server sees no conflict between
two that render the very same object: each would undo the other, and pruning one would take away
what the other has. The owner is who the object's own marks name, as long as that extension's record
still has the object; so what an extension let go of, or left behind, is free for another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from agent.errors import StepFailed
from agent.kube.client import FIELD_MANAGER
from agent.reconcile.objects import (
    EXTENSION_LABEL,
    HELM_NAME_ANNOTATION,
    HELM_NAMESPACE_ANNOTATION,
    Object,
    ObjectKey,
    key_of,
    labels_of,
)
from agent.reconcile.record import ExtensionRecord, RecordStore, SourceKind
from shared.contract.reasons import ReasonCode
from shared.contract.states import ExtensionPhase


@dataclass(frozen=True)
class Owner:
    """Another extension that has an object."""

    extension: str
    at_work: bool
    """It is being applied or taken away, and may let go of the object."""


class Belongings:
    """Looks after who has what, for all extensions of a cluster."""

    def __init__(self, records: RecordStore) -> None:
        self._records = records
        self._under_way: dict[ObjectKey, str] = {}

    @contextmanager
    def applying(self, extension: str, keys: Iterable[ObjectKey]) -> Iterator[None]:
        """No other extension applies these for a block's length, so that of two that come at once
        one sees what the other has made. Raises StepFailed(ApplyConflict)."""
        mine = list(keys)
        for key in mine:
            other = self._under_way.get(key, extension)
            if other != extension:
                raise _conflict(key, Owner(other, at_work=True))
        self._under_way |= dict.fromkeys(mine, extension)
        try:
            yield
        finally:
            for key in mine:
                self._under_way.pop(key, None)

    async def refuse_others(self, extension: str, live: Iterable[Object]) -> None:
        """Raise StepFailed(ApplyConflict) naming the first of these that another extension has.

        Another one that is at work may let go of it, and is waited for. Raises KubeError.
        """
        for obj in live:
            owner = await self.owner(extension, obj)
            if owner is not None:
                raise _conflict(key_of(obj), owner)

    async def refuse_named(self, extension: str, kind: str, namespace: str, name: str) -> None:
        """The same for an object of which no more is known."""
        for record in await self._records.load_all():
            for item in (*record.inventory, *record.secrets):
                key = item.ref.key
                found = (key.kind, key.namespace, key.name) == (kind, namespace, name)
                if found and record.extension != extension:
                    raise _conflict(key, _owner(record))

    async def owner(self, extension: str, live: Object) -> Owner | None:
        """The other extension that has a live object; None where it is free. Raises KubeError."""
        key, marks = key_of(live), live["metadata"].get("annotations") or {}
        named = labels_of(live).get(EXTENSION_LABEL) or marks.get(HELM_NAME_ANNOTATION)
        if named == extension:
            return None
        if named is None:
            return await self._owner_of_unmarked(extension, live)
        record = await self._records.load(str(named))
        if record is None or not (_has(record, key) or _is_of_release(record, marks)):
            return None
        return _owner(record)

    async def _owner_of_unmarked(self, extension: str, live: Object) -> Owner | None:
        """Somebody may have taken the label off: who is at the fields then tells whose it was."""
        entries = live["metadata"].get("managedFields") or ()
        if not any(entry.get("manager") == FIELD_MANAGER for entry in entries):
            return None
        key, records = key_of(live), await self._records.load_all()
        if any(record.extension == extension and _has(record, key) for record in records):
            return None
        return next((_owner(record) for record in records if _has(record, key)), None)


def _has(record: ExtensionRecord, key: ObjectKey) -> bool:
    return any(item.ref.key == key for item in (*record.inventory, *record.secrets))


def _is_of_release(record: ExtensionRecord, annotations: Mapping[str, object]) -> bool:
    """Whether helm made it for this extension, whose inventory is written once helm has ended."""
    release = (record.extension, record.namespace)
    marks = (annotations.get(HELM_NAME_ANNOTATION), annotations.get(HELM_NAMESPACE_ANNOTATION))
    return record.source is SourceKind.HELM and release == marks


def _owner(record: ExtensionRecord) -> Owner:
    return Owner(record.extension, at_work=record.phase is ExtensionPhase.APPLYING)


def _conflict(key: ObjectKey, owner: Owner) -> StepFailed:
    return StepFailed(
        ReasonCode.APPLY_CONFLICT,
        f"{key} belongs to the extension {owner.extension}: only one can have it",
        passing=owner.at_work,
    )
