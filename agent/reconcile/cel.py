"""One CEL expression, compiled, and asked within a budget: whatever it says, it ends.

The budget is counted as Kubernetes counts it (KEP-2876): each step of an evaluation costs a unit,
and text or a list that is made costs more the longer it is. Beyond the units a time limit holds,
looked at with each step; a single step is bounded by the size of the object, and `matches` by RE2,
which knows no backtracking. So no thread or process has to be killed. Loading this module loads
the CEL library.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import lark
from celpy import Environment, adapter, celtypes, evaluation
from celpy.celparser import CELParseError

COST_LIMIT = 100_000
"""Units that one expression may cost on one object: about a second of a core."""
SECONDS_LIMIT = 5.0
"""The same in time, for a machine that is short of it."""
_CHARACTERS_PER_UNIT = 100
_ITEMS_PER_UNIT = 10
_MAKES_VALUES = frozenset({"addition", "ident_arg"})
_UNREADY = (evaluation.CELEvalError, TypeError, ValueError, ArithmeticError)
"""A field that is not there yet, or of another type; the library lets Python's own errors through,
as for a list that is null or a number beyond 64 bits."""


class NotCel(ValueError):
    """The text is no expression."""


class OutOfBudget(Exception):
    """The evaluation was ended."""


class Expression:
    """A compiled expression. May be asked in any thread."""

    def __init__(self, text: str) -> None:
        """Compile. Raises NotCel."""
        try:
            environment = Environment()
            self._tree = environment.compile(text)
            self._runner = environment.program(self._tree)
        except (CELParseError, RecursionError) as error:
            raise NotCel(text) from error

    def holds(self, fields: Mapping[str, Any], cost_limit: int = COST_LIMIT) -> bool:
        """Whether it is true of these; not, where a field is missing or of another type. Raises
        OutOfBudget."""
        budget = _Budget(cost_limit)
        try:
            values = {name: adapter.json_to_cel(value) for name, value in fields.items()}
            evaluator = _Evaluator(self._tree, self._runner.new_activation(), budget)
            answer = evaluator.evaluate(values)
        except RecursionError as error:
            raise OutOfBudget("goes deeper than is allowed") from error
        except _UNREADY:
            return False
        return isinstance(answer, celtypes.BoolType) and bool(answer)


class _Budget:
    """What is left of one evaluation."""

    def __init__(self, cost_limit: int) -> None:
        self._limit = self._left = cost_limit
        self._deadline = time.monotonic() + SECONDS_LIMIT

    def spend(self, units: int) -> None:
        self._left -= units
        if self._left < 0:
            raise OutOfBudget(f"costs more than {self._limit} units")
        if time.monotonic() > self._deadline:
            raise OutOfBudget(f"takes more than {SECONDS_LIMIT:g} s")


class _Evaluator(evaluation.Evaluator):
    """The library's interpreter, which pays for each step."""

    def __init__(self, ast: Any, activation: evaluation.Activation, budget: _Budget) -> None:
        super().__init__(ast, activation)
        self._budget = budget

    def sub_evaluator(self, ast: Any) -> _Evaluator:
        """For the body of a macro: on the same budget."""
        return _Evaluator(ast, self.activation, self._budget)

    def _visit_tree(self, tree: lark.Tree[Any]) -> Any:
        """Each node of the expression passes here, macros' bodies once for each item."""
        self._budget.spend(1)
        value = super()._visit_tree(tree)
        if str(tree.data) in _MAKES_VALUES:
            self._budget.spend(_size(value))
        return value


def _size(value: object) -> int:
    if isinstance(value, str | bytes):
        return len(value) // _CHARACTERS_PER_UNIT
    return len(value) // _ITEMS_PER_UNIT if isinstance(value, list | dict) else 0
