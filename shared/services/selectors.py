"""Label selectors as text, as `kubectl -l` reads them: `env=prod,region in (eu,us),!legacy`.

The text becomes the contract's LabelSelector, and that becomes parameters of one fixed statement.
"""

from __future__ import annotations

import re
from typing import Any

from pydantic import ValidationError

from shared.contract.errors import ErrorCode, FieldError
from shared.contract.placement import LabelSelector, MatchExpression, Operator
from shared.domain.errors import ArcBridgeError

MAX_CHARACTERS = 2048
_KEY = r"[A-Za-z0-9][A-Za-z0-9./_-]*"
_VALUE = r"[A-Za-z0-9]?[A-Za-z0-9._-]*"
_REQUIREMENT = re.compile(
    rf"\s*(?:"
    rf"(?P<absent>!)\s*(?P<absent_key>{_KEY})"
    rf"|(?P<set_key>{_KEY})\s+(?P<set>in|notin)\s*\((?P<values>[^()]*)\)"
    rf"|(?P<key>{_KEY})\s*(?:(?P<equality>==|=|!=)\s*(?P<value>{_VALUE}))?"
    rf")\s*(?:,|$)"
)


def parse(text: str) -> LabelSelector:
    """Read a selector; an empty text selects everything. Raises InvalidRequest."""
    expressions: list[MatchExpression] = []
    position = 0
    if len(text) > MAX_CHARACTERS or text.rstrip().endswith(","):
        raise _refused("it ends in a comma, or is too long")
    try:
        while position < len(text.rstrip()):
            match = _REQUIREMENT.match(text, position)
            if match is None:
                raise _refused(f"it cannot be read from {text[position : position + 40]!r} on")
            expressions.append(_expression(match))
            position = match.end()
        return LabelSelector(match_expressions=tuple(expressions))
    except ValidationError as error:
        raise _refused("a key or value is not one a label can have") from error


def parameters(selector: LabelSelector) -> list[dict[str, Any]]:
    """The requirements as JSON, for the statement `clusters.list`."""
    equal = [
        {"key": key, "operator": Operator.IN.value, "values": [value]}
        for key, value in selector.match_labels.items()
    ]
    return equal + [expression.model_dump(mode="json") for expression in selector.match_expressions]


def _expression(match: re.Match[str]) -> MatchExpression:
    if match["absent"]:
        return MatchExpression(key=match["absent_key"], operator=Operator.DOES_NOT_EXIST)
    if match["set"]:
        operator = Operator.IN if match["set"] == "in" else Operator.NOT_IN
        values = tuple(value.strip() for value in match["values"].split(","))
        return MatchExpression(key=match["set_key"], operator=operator, values=values)
    if match["equality"] is None:
        return MatchExpression(key=match["key"], operator=Operator.EXISTS)
    operator = Operator.NOT_IN if match["equality"] == "!=" else Operator.IN
    return MatchExpression(key=match["key"], operator=operator, values=(match["value"],))


def _refused(why: str) -> ArcBridgeError:
    remedy = "write it as env=prod,region in (eu,us),tier!=test,!legacy"
    return ArcBridgeError(
        ErrorCode.INVALID_REQUEST,
        f"the label selector cannot be used: {why}; {remedy}",
        errors=(FieldError(field="labels", message=why, remedy=remedy),),
    )
