"""YAML as people write resources, read as the JSON it stands for.

YAML 1.2's core schema: `on` and `no` are text, dates are text. Refused: aliases and anchors (a
small text would become a large one), tags (they make objects), merge keys, duplicate keys, keys
that are not text, depth, NaN and infinities, and more than one document where one is asked for.
PyYAML is loaded at the first use: a Function that never reads YAML does not pay for it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from shared.contract.limits import JSON_DEPTH

if TYPE_CHECKING:
    import yaml
    from pydantic import JsonValue

_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_OCTAL = re.compile(r"0o[0-7]{1,20}")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]{1,15}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,4})?")
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE = frozenset({"true", "True", "TRUE"})
_FALSE = frozenset({"false", "False", "FALSE"})


class YamlRefused(ValueError):
    """The text is not YAML, or uses what is refused; says the line."""


def read_documents(text: str) -> list[JsonValue]:
    """Every document of a text, empty ones left out. Raises YamlRefused."""
    import yaml

    try:
        return list(_documents(yaml.parse(text, Loader=_loader())))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        said = getattr(error, "problem", None) or getattr(error, "reason", None)
        raise YamlRefused(f"{where}{said or 'this is not YAML'}") from error


def _loader() -> Any:
    """libyaml's parser where the wheel has it: twenty times as fast, the same events."""
    import yaml

    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_document(text: str) -> JsonValue:
    """The one document of a text. Raises YamlRefused."""
    documents = read_documents(text)
    if len(documents) != 1:
        raise YamlRefused(f"one document is expected here, the text holds {len(documents)}")
    return documents[0]


def _documents(events: Iterator[yaml.Event]) -> Iterator[JsonValue]:
    import yaml

    for event in events:
        if isinstance(event, yaml.DocumentStartEvent):
            value = _Reader(events).value(next(events), depth=0)
            if value is not None:
                yield value


class _Reader:
    """Builds values out of parser events; nothing is kept of a text but its values."""

    def __init__(self, events: Iterator[yaml.Event]) -> None:
        self._events = events

    def value(self, event: yaml.Event, depth: int) -> Any:
        import yaml

        if isinstance(event, yaml.AliasEvent):
            raise _refused(event, "aliases are refused: write the value out")
        if getattr(event, "anchor", None):
            raise _refused(event, "anchors are refused: write the value out where it is used")
        if getattr(event, "tag", None):
            raise _refused(event, f"the tag {getattr(event, 'tag', '')!r} is refused")
        if isinstance(event, yaml.ScalarEvent):
            return _scalar(event)
        if depth >= JSON_DEPTH:
            raise _refused(event, f"nested more than {JSON_DEPTH} deep")
        read: Callable[[int], Any] = (
            self._mapping if isinstance(event, yaml.MappingStartEvent) else self._sequence
        )
        return read(depth + 1)

    def _sequence(self, depth: int) -> list[Any]:
        import yaml

        items = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self.value(event, depth))
        return items

    def _mapping(self, depth: int) -> dict[str, Any]:
        import yaml

        found: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                raise _refused(event, "a key must be text")
            if event.value == "<<" and not event.style:
                raise _refused(event, "merge keys are refused: write the fields out")
            if event.value in found:
                raise _refused(event, f"the key {event.value!r} occurs twice")
            found[event.value] = self.value(next(self._events), depth)
        return found


def _scalar(event: yaml.ScalarEvent) -> JsonValue:
    text: str = event.value
    if event.style:  # quoted or a block: text
        return text
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if _INTEGER.fullmatch(text):
        return int(text)
    if _OCTAL.fullmatch(text) or _HEXADECIMAL.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        number = float(text)
        if not math.isfinite(number):
            raise _refused(event, "the number is too large")
        return number
    return text


def _refused(event: yaml.Event, why: str) -> YamlRefused:
    mark = event.start_mark
    return YamlRefused(f"line {mark.line + 1}: {why}" if mark else why)
