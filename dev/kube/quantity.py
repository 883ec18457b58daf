"""Quantities (`resource.Quantity`): the canonical text that the API server stores.

`0.5` becomes `500m`, `1024Mi` becomes `1Gi`, the number 1 becomes `1`; text that is no quantity is
left alone for validation to refuse.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from dev.kube.schema import Node

FORMAT: Final = "quantity"
_BINARY: Final = {"": 0, "Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_DECIMAL: Final = {"n": -3, "u": -2, "m": -1, "": 0, "k": 1, "M": 2, "G": 3, "T": 4, "P": 5, "E": 6}
_TEXT: Final = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))([KMGTPE]i|[numkMGTPE]|[eE][+-]?\d+)?")


def canonical(value: Any) -> Any:
    """The canonical text of a quantity."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return value
    found = _TEXT.fullmatch(str(value))
    if found is None:
        return value
    number, suffix = Decimal(found[1]), found[2] or ""
    try:
        if suffix in _BINARY and suffix:
            return _binary(number * 1024 ** _BINARY[suffix])
        if suffix[:1] in {"e", "E"} and suffix not in _DECIMAL:
            number *= Decimal(10) ** int(suffix[1:])
            suffix = ""
        return _decimal(number * Decimal(1000) ** _DECIMAL[suffix])
    except InvalidOperation:
        return value


def _binary(number: Decimal) -> str:
    if number != number.to_integral_value():
        return _decimal(number)
    whole = int(number)
    for suffix, power in reversed(_BINARY.items()):
        if whole and whole % 1024**power == 0:
            return f"{whole // 1024**power}{suffix}"
    return str(whole)


def _decimal(number: Decimal) -> str:
    if not number:
        return "0"
    for suffix, power in reversed(_DECIMAL.items()):
        scaled = number / Decimal(1000) ** power
        if scaled == scaled.to_integral_value():
            return f"{int(scaled)}{suffix}"
    return f"{int((number * 10**9).to_integral_value(rounding='ROUND_CEILING'))}n"


def with_canonical_quantities(node: Node, value: Any) -> Any:
    """The value with every quantity in it in canonical form."""
    if node.format == FORMAT:
        return canonical(value)
    if isinstance(value, dict):
        return {
            key: with_canonical_quantities(node.child(key), item) for key, item in value.items()
        }
    if isinstance(value, list) and node.items is not None:
        return [with_canonical_quantities(node.items, item) for item in value]
    return value
