"""Readiness of kinds that follow no convention, by an extension's own CEL expressions.

The CEL library is loaded only where an extension has such a check: it would cost every idle agent
megabytes. An expression sees one object, can call nobody, and has a budget (`cel`). An answer is
kept as long as the object stays what it was, so that watching many costs only what changes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.errors import StepFailed
from agent.reconcile.drift_rules import fits
from agent.reconcile.objects import Object, ObjectKey
from agent.reconcile.readiness_types import ObjectStatus, Readiness, current, failed, in_progress
from shared.contract.extension import DriftTarget, ReadinessCheck
from shared.contract.reasons import ReasonCode
from shared.telemetry.logs import get_logger

if TYPE_CHECKING:
    from agent.reconcile.cel import Expression

log = get_logger(__name__)

_FIELDS = ("apiVersion", "kind", "metadata", "spec", "status")
_NOT_OBSERVED = "LatestGenerationNotObserved"
_JUDGED_ALREADY = frozenset({ObjectStatus.NOT_FOUND, ObjectStatus.TERMINATING})


@dataclass(frozen=True)
class _Check:
    target: DriftTarget
    text: str
    current: Expression
    failed: Expression | None


class Checks:
    """Compiled checks; the first whose target fits an object decides."""

    def __init__(self, checks: tuple[_Check, ...] = ()) -> None:
        self._checks = checks
        self._answers: dict[ObjectKey, tuple[tuple[str, str], Readiness]] = {}
        """The newest, each for one version (uid, resourceVersion) of an object."""

    def __bool__(self) -> bool:
        """True when there is any: then `refine` may take a while, and has no place on a loop."""
        return bool(self._checks)

    @classmethod
    def compile(cls, checks: Iterable[ReadinessCheck]) -> Checks:
        """Compile. Raises StepFailed(BuildFailed) for what is not CEL."""
        return cls(
            tuple(
                _Check(
                    check.target,
                    check.current,
                    _compiled(check.current),
                    _compiled(check.failed) if check.failed else None,
                )
                for check in checks
            )
        )

    def refine(self, key: ObjectKey, obj: Object | None, judged: Readiness) -> Readiness:
        """What the check for this object says, or `judged` where there is none. An object that is
        not there, is going, or was not looked at by its controller is not asked."""
        check = next((check for check in self._checks if fits(check.target, key)), None)
        if check is None or obj is None or judged.status in _JUDGED_ALREADY:
            return judged
        if judged.reason == _NOT_OBSERVED:
            return judged
        version = _version(obj)
        known = self._answers.get(key)
        if known is not None and all(version) and known[0] == version:
            return known[1]
        answer = _answer(check, obj)
        self._answers[key] = (version, answer)
        return answer


NO_CHECKS = Checks()


def _answer(check: _Check, obj: Object) -> Readiness:
    from agent.reconcile.cel import OutOfBudget

    fields = {name: obj.get(name) or {} for name in _FIELDS}
    try:
        if check.failed is not None and check.failed.holds(fields):
            return failed("CheckFailed", f"the extension's check calls it failed: {check.text}")
        if check.current.holds(fields):
            return current("The extension's check calls it current")
    except OutOfBudget as error:
        return failed(
            "CostLimitExceeded",
            f"the extension's check {error} on this object, and was ended: look at fewer items, or "
            f"without loops in loops: {check.text}",
        )
    except Exception as error:
        # Whatever the library raises over an odd object: it is not ready as far as anyone knows.
        what = type(error).__name__
        log.warning("readiness check cannot be evaluated", check=check.text, error=what)
        return in_progress("CheckNotMet", f"not yet, it cannot be evaluated ({what}): {check.text}")
    return in_progress("CheckNotMet", f"not yet: {check.text}")


def _version(obj: Object) -> tuple[str, str]:
    meta = obj.get("metadata") or {}
    return str(meta.get("uid") or ""), str(meta.get("resourceVersion") or "")


def _compiled(text: str) -> Expression:
    from agent.reconcile.cel import Expression, NotCel  # heavy: only where there is a check

    try:
        return Expression(text)
    except NotCel as error:
        raise StepFailed(
            ReasonCode.BUILD_FAILED, f"readiness check {text!r} is not CEL", final=True
        ) from error
