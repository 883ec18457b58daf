"""Readiness of kinds that follow no convention, by an extension's own CEL expressions.

The CEL library is loaded only where an extension has such a check: it would cost every idle agent
megabytes. An expression sees one object and can call nobody.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from agent.errors import StepFailed
from agent.reconcile.drift_rules import fits
from agent.reconcile.objects import Object, ObjectKey
from agent.reconcile.readiness_types import ObjectStatus, Readiness, current, failed, in_progress
from shared.contract.extension import DriftTarget, ReadinessCheck
from shared.contract.reasons import ReasonCode

_FIELDS = ("apiVersion", "kind", "metadata", "spec", "status")
_NOT_OBSERVED = "LatestGenerationNotObserved"
_JUDGED_ALREADY = frozenset({ObjectStatus.NOT_FOUND, ObjectStatus.TERMINATING})


@dataclass(frozen=True)
class _Check:
    target: DriftTarget
    text: str
    current: Any
    failed: Any


class Checks:
    """Compiled checks; the first whose target fits an object decides."""

    def __init__(self, checks: tuple[_Check, ...] = ()) -> None:
        self._checks = checks

    @classmethod
    def compile(cls, checks: Iterable[ReadinessCheck]) -> Checks:
        """Compile. Raises StepFailed(BuildFailed) for what is not CEL."""
        return cls(
            tuple(
                _Check(
                    check.target,
                    check.current,
                    _program(check.current),
                    _program(check.failed) if check.failed else None,
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
        if check.failed is not None and _holds(check.failed, obj):
            return failed("CheckFailed", f"the extension's check calls it failed: {check.text}")
        if _holds(check.current, obj):
            return current("The extension's check calls it current")
        return in_progress("CheckNotMet", f"not yet: {check.text}")


NO_CHECKS = Checks()


def _program(text: str) -> Any:
    import celpy  # heavy: only where an extension has a check
    from celpy import celparser

    environment = celpy.Environment()
    try:
        return environment.program(environment.compile(text))
    except celparser.CELParseError as error:
        raise StepFailed(
            ReasonCode.BUILD_FAILED, f"readiness check {text!r} is not CEL", final=True
        ) from error


def _holds(program: Any, obj: Object) -> bool:
    """True when the expression does; a field that is not there yet, or of another type than the
    expression takes it for, makes it false."""
    from celpy import adapter, celtypes, evaluation

    try:
        fields = {name: adapter.json_to_cel(obj.get(name) or {}) for name in _FIELDS}
        answer = program.evaluate(fields)
    # The library lets Python's own errors through: a list that is null, a number beyond 64 bits.
    except (evaluation.CELEvalError, TypeError, ValueError, ArithmeticError):
        return False
    return isinstance(answer, celtypes.BoolType) and bool(answer)
