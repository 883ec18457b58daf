"""Label and field selectors, as query strings and as LabelSelector objects."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from dev.kube.errors import bad_request
from dev.kube.schema import Json

Matcher = Callable[[Json], bool]
_ALWAYS = frozenset({"metadata.name", "metadata.namespace"})

_REQUIREMENT = re.compile(
    r"\s*(?:"
    r"(?P<absent>!)\s*(?P<akey>[^\s,=!()<>]+)"
    r"|(?P<key>[^\s,=!()<>]+)\s*(?:"
    r"(?P<setop>\bin|\bnotin)\s*\((?P<values>[^)]*)\)"
    r"|(?P<op>==|!=|=|>|<)\s*(?P<value>[^\s,=!()<>]*)"
    r")?"
    r")\s*(?:,|$)"
)


def parse_labels(text: str) -> Matcher | None:
    """A test on an object's labels for `a=b,c in (d,e),!f`; None when everything matches.

    Raises `StatusError` 400 for a selector that cannot be read.
    """
    if not text.strip():
        return None
    tests: list[Callable[[dict[str, str]], bool]] = []
    position = 0
    while position < len(text):
        found = _REQUIREMENT.match(text, position)
        if found is None or found.end() == position:
            raise bad_request(f"unable to parse requirement: {text!r}")
        tests.append(_label_test(found))
        position = found.end()
    return lambda obj: _all(tests, obj.get("metadata", {}).get("labels") or {})


def _all(tests: list[Callable[[dict[str, str]], bool]], labels: dict[str, str]) -> bool:
    return all(test(labels) for test in tests)


def _label_test(found: re.Match[str]) -> Callable[[dict[str, str]], bool]:
    if found["absent"]:
        absent = found["akey"]
        return lambda labels: absent not in labels
    key = found["key"]
    if found["setop"]:
        values = {value.strip() for value in found["values"].split(",")}
        if found["setop"] == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    value = found["value"]
    match found["op"]:
        case None:
            return lambda labels: key in labels
        case "=" | "==":
            return lambda labels: labels.get(key) == value
        case "!=":
            return lambda labels: labels.get(key) != value
        case operator:
            return lambda labels: _compare_integers(labels.get(key), operator, value)


def _compare_integers(have: str | None, operator: str, value: str) -> bool:
    try:
        left, right = int(have or ""), int(value)
    except ValueError:
        return False
    return left > right if operator == ">" else left < right


def selects(selector: Json | None, labels: dict[str, str] | None) -> bool:
    """Does a LabelSelector object match these labels? None selects nothing, `{}` everything."""
    if selector is None:
        return False
    have = labels or {}
    if any(have.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_expression(item, have) for item in selector.get("matchExpressions") or ())


def _expression(item: Json, labels: dict[str, str]) -> bool:
    key, values = item.get("key", ""), item.get("values") or []
    match item.get("operator"):
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case _:
            return key not in labels


def parse_fields(text: str, allowed: frozenset[str]) -> Matcher | None:
    """A test on field values for `metadata.name=a,status.phase!=Running`.

    `allowed` are the fields the kind knows beyond its name and namespace.
    """
    if not text.strip():
        return None
    wanted: list[tuple[list[str], str, bool]] = []
    for part in text.split(","):
        found = re.fullmatch(r"\s*([^=!]+?)\s*(==|=|!=)\s*(.*?)\s*", part)
        if found is None:
            raise bad_request(f"invalid selector: '{part}'; can't understand '{part}'")
        if found[1] not in _ALWAYS and found[1] not in allowed:
            raise bad_request(
                f"field label not supported: {found[1]}"
                if allowed
                else f'"{found[1]}" is not a known field selector: only "metadata.name", '
                '"metadata.namespace"'
            )
        wanted.append((found[1].split("."), found[3], found[2] != "!="))
    return lambda obj: all(
        (field_text(obj, path) == value) is equal for path, value, equal in wanted
    )


def field_text(obj: Json, path: list[str]) -> str:
    """The value of a field as a selector sees it; absent is the empty string."""
    value: Any = obj
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
