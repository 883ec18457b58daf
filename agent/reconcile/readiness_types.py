"""The words of kstatus, and careful access to fields that a live object may hold in any shape."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

Object = dict[str, Any]

_GENERATION = re.compile("[0-9]{1,18}", re.ASCII)


class ObjectStatus(StrEnum):
    """Where an object is on its way to what its spec asks for."""

    IN_PROGRESS = "InProgress"
    FAILED = "Failed"
    CURRENT = "Current"
    TERMINATING = "Terminating"
    NOT_FOUND = "NotFound"
    UNKNOWN = "Unknown"


@dataclass(frozen=True)
class Readiness:
    """A status, a CamelCase reason (empty when current) and a sentence about it."""

    status: ObjectStatus
    message: str
    reason: str = ""

    @property
    def is_current(self) -> bool:
        """True when there is nothing to wait for."""
        return self.status is ObjectStatus.CURRENT


def current(message: str) -> Readiness:
    """The object is what its spec asks for."""
    return Readiness(ObjectStatus.CURRENT, message)


def in_progress(reason: str, message: str) -> Readiness:
    """The object is on its way."""
    return Readiness(ObjectStatus.IN_PROGRESS, message, reason)


def failed(reason: str, message: str) -> Readiness:
    """The object says that it will not get there by itself."""
    return Readiness(ObjectStatus.FAILED, message, reason)


def unknown(reason: str, message: str) -> Readiness:
    """The object cannot be judged."""
    return Readiness(ObjectStatus.UNKNOWN, message, reason)


def value_at(obj: Any, *path: str) -> Any:
    """What stands at `path`, or None."""
    for part in path:
        if not isinstance(obj, dict):
            return None
        obj = obj.get(part)
    return obj


def text_at(obj: Any, *path: str, default: str = "") -> str:
    """The string at `path`, or `default` where there is none."""
    value = value_at(obj, *path)
    return value if isinstance(value, str) else default


def count_at(obj: Any, *path: str, default: int = 0) -> int:
    """The whole number at `path`, or `default` where there is none."""
    value = optional_count_at(obj, *path)
    return default if value is None else value


def optional_count_at(obj: Any, *path: str) -> int | None:
    """The whole number at `path`, or None where there is none."""
    value = value_at(obj, *path)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def items_at(obj: Any, *path: str) -> list[Object]:
    """The objects in the list at `path`."""
    value = value_at(obj, *path)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def generation_at(obj: Any, *path: str) -> int | None:
    """The generation at `path`: some controllers write what they observed as text."""
    text = text_at(obj, *path)
    return int(text) if _GENERATION.fullmatch(text) else optional_count_at(obj, *path)


def words_of(found: Object) -> tuple[str, str]:
    """A condition's reason and message."""
    return text_at(found, "reason"), text_at(found, "message")


def conditions_of(obj: Object) -> Iterator[Object]:
    """The conditions in the object's status; what is not shaped like one is passed over."""
    for found in items_at(obj, "status", "conditions"):
        if isinstance(found.get("type"), str):
            yield found


def condition(obj: Object, kind: str) -> Object | None:
    """The condition of that type, or None."""
    return next((c for c in conditions_of(obj) if c["type"] == kind), None)
