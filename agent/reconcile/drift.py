"""Finds how live objects differ from their revision, and sets them right.

A server-side-apply dry run (KEP-555, KEP-576) under the manager that applied the objects says what
an apply would make of each; what differs from the live object is drift. So defaults, fields of
other managers and status never count. Correcting is that same apply without the dry
run: never a Helm upgrade or rollback, which would fill the release's history.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agent.clock import Clock
from agent.errors import KubeError, KubeForbidden, KubeInvalid, KubeNotFound, StepFailed
from agent.kube.client import FIELD_MANAGER, KubeClient
from agent.reconcile.apply import apply_objects, bounded_gather
from agent.reconcile.belongings import Belongings, Owner
from agent.reconcile.difference import overlaid
from agent.reconcile.drift_rules import DriftRules, changed, extra, missing
from agent.reconcile.live import get_or_none, list_labelled
from agent.reconcile.objects import (
    EXTENSION_LABEL,
    Object,
    ObjectKey,
    key_of,
    prune_disabled,
    ref_of,
)
from agent.reconcile.ownership import owners_of
from agent.reconcile.prune import delete_objects
from agent.reconcile.work import acting_for
from shared.contract.reasons import ReasonCode
from shared.contract.status import Difference

_TRIES = 3

Found = Mapping[ObjectKey, tuple[Difference, ...]]


@dataclass(frozen=True)
class Desired:
    """What an extension's objects should be, and under which manager they are applied."""

    extension: str
    objects: Mapping[ObjectKey, Object]
    manager: str
    as_user: str | None = None
    own: frozenset[ObjectKey] = frozenset()
    """Objects that are applied under the agent's own manager whatever `manager` is."""

    def manager_of(self, key: ObjectKey) -> str:
        """The field manager that an object is applied under."""
        return FIELD_MANAGER if key in self.own else self.manager


class DriftChecker:
    """Compares and corrects."""

    def __init__(
        self, kube: KubeClient, clock: Clock, belongings: Belongings, *, termination_seconds: float
    ) -> None:
        self._kube = kube
        self._clock = clock
        self._belongings = belongings
        self._termination_seconds = termination_seconds

    async def check_all(self, desired: Desired, rules: DriftRules) -> Found:
        """Every object, and objects that should not be there. Raises KubeError."""
        objects = list(desired.objects.values())
        live = await list_labelled(self._kube, desired.extension, objects)
        answers = await bounded_gather(
            [self._check(desired, obj, rules, live.get(key_of(obj))) for obj in objects]
        )
        found = dict(zip(desired.objects, answers, strict=True))
        for key, obj in live.items():
            if key not in desired.objects and _is_extra(obj):
                found[key] = extra(obj, rules, self._clock.now())
        return {key: differences for key, differences in found.items() if differences}

    async def check_some(
        self, desired: Desired, rules: DriftRules, keys: Sequence[ObjectKey]
    ) -> Found:
        """These objects only; an empty tuple for one without drift. Raises KubeError."""
        objects = [desired.objects[key] for key in keys if key in desired.objects]
        answers = await bounded_gather([self._check(desired, obj, rules, None) for obj in objects])
        return {key_of(obj): found for obj, found in zip(objects, answers, strict=True)}

    async def correct(self, desired: Desired, found: Found) -> None:
        """Apply what was changed or is missing, delete what is extra. Raises StepFailed, also for
        what another extension has by now, which is left alone."""
        failure = ReasonCode.DRIFT_CORRECTION_FAILED
        wrong = [desired.objects[key] for key in found if key in desired.objects]
        try:
            kube = acting_for(self._kube, desired.as_user)
            others = await self._others(desired.extension, wrong)
            wrong = [obj for obj in wrong if key_of(obj) not in others]
            for manager in dict.fromkeys(desired.manager_of(key_of(obj)) for obj in wrong):
                some = [obj for obj in wrong if desired.manager_of(key_of(obj)) == manager]
                await apply_objects(kube, some, failure=failure, force=True, manager=manager)
            refs = [
                ref_of(_reference(difference))
                for key, differences in found.items()
                if key not in desired.objects
                for difference in differences
            ]
            await delete_objects(kube, desired.extension, refs, seconds=self._termination_seconds)
        except KubeError as error:
            raise StepFailed(failure, str(error)) from error
        for key, owner in others.items():
            raise StepFailed(failure, f"{key} belongs to the extension {owner.extension}")

    async def _others(self, extension: str, objects: Sequence[Object]) -> dict[ObjectKey, Owner]:
        """Which of these another extension has."""
        live = await bounded_gather([get_or_none(self._kube, obj) for obj in objects])
        found = {}
        for obj in live:
            owner = obj and await self._belongings.owner(extension, obj)
            if obj and owner:
                found[key_of(obj)] = owner
        return found

    async def _check(
        self, desired: Desired, obj: Object, rules: DriftRules, live: Object | None
    ) -> tuple[Difference, ...]:
        """Compare one object with what an apply would make of it, both at one resourceVersion."""
        for _ in range(_TRIES):
            if live is None:
                live = await get_or_none(self._kube, obj)
            if live is None:
                return missing(obj, rules, self._clock.now())
            applied = await self._dry_run(desired, obj, live)
            if _version(applied) == _version(live):
                break
            live = await get_or_none(self._kube, obj)
            if live is not None and _version(applied) == _version(live):
                break
        if live is None:
            return missing(obj, rules, self._clock.now())
        return changed(applied, live, rules, self._clock.now())

    async def _dry_run(self, desired: Desired, obj: Object, live: Object) -> Object:
        try:
            resource = await self._kube.resource(str(obj["apiVersion"]), str(obj["kind"]))
            return await acting_for(self._kube, desired.as_user).apply(
                resource, obj, force=True, dry_run=True, manager=desired.manager_of(key_of(obj))
            )
        except (KubeInvalid, KubeForbidden):
            # An immutable field was changed, or a policy of the cluster refuses by now what it let
            # in then: nobody says what an apply would make of it, so compare what is declared.
            declared: Object = overlaid(live, obj)
            return declared
        except KubeNotFound:
            return live


def _is_extra(obj: Object) -> bool:
    """Put there by us, not made by a controller from one of ours, nor copied by a person with the
    label on it; not on its way out, and not to be kept."""
    meta = obj["metadata"]
    if meta.get("ownerReferences") or meta.get("deletionTimestamp") or prune_disabled(obj):
        return False
    return FIELD_MANAGER in owners_of(obj, ("metadata", "labels", EXTENSION_LABEL))


def _reference(difference: Difference) -> Object:
    return {
        "apiVersion": difference.api_version,
        "kind": difference.object_kind,
        "metadata": {"name": difference.name, "namespace": difference.namespace or ""},
    }


def _version(obj: Object) -> str:
    return str(obj["metadata"].get("resourceVersion", ""))
