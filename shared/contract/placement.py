"""Which clusters an extension is for: Kubernetes label selectors over a cluster's labels."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from shared.contract.base import LabelKey, Labels, LabelValue, Name, WireModel


class Operator(StrEnum):
    """Set operators of Kubernetes' LabelSelectorRequirement."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


class MatchExpression(WireModel):
    """One requirement on a label; a missing label satisfies NotIn, as in Kubernetes."""

    key: LabelKey
    operator: Operator
    values: Annotated[tuple[LabelValue, ...], Field(max_length=64)] = ()

    @model_validator(mode="after")
    def _values_fit_operator(self) -> Self:
        wants = self.operator in (Operator.IN, Operator.NOT_IN)
        if wants != bool(self.values):
            rule = "needs at least one value" if wants else "takes no values"
            raise ValueError(f"operator {self.operator} {rule}")
        return self

    def matches(self, labels: Labels) -> bool:
        """True when `labels` meet this requirement."""
        value = labels.get(self.key)
        match self.operator:
            case Operator.IN:
                return value in self.values if value is not None else False
            case Operator.NOT_IN:
                return value not in self.values
            case Operator.EXISTS:
                return value is not None
            case Operator.DOES_NOT_EXIST:
                return value is None


class LabelSelector(WireModel):
    """All requirements must hold. An empty selector matches every cluster."""

    match_labels: Labels = Field(default_factory=dict)
    match_expressions: Annotated[tuple[MatchExpression, ...], Field(max_length=32)] = ()

    def matches(self, labels: Labels) -> bool:
        """True when `labels` meet every requirement."""
        return all(labels.get(k) == v for k, v in self.match_labels.items()) and all(
            expression.matches(labels) for expression in self.match_expressions
        )


class Placement(LabelSelector):
    """A selector, or an explicit list of cluster names, or both (their union)."""

    clusters: Annotated[tuple[Name, ...], Field(max_length=1000)] = ()

    def selects(self, name: str, labels: Labels) -> bool:
        """True when the cluster is listed, or the selector (where one is given) matches it."""
        if name in self.clusters:
            return True
        only_list = bool(self.clusters) and not self.match_labels and not self.match_expressions
        return not only_list and self.matches(labels)
