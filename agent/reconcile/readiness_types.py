"""The words of kstatus, and careful access to fields that a live object may hold in any shape."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

Object = dict[str, Any]


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


def text_at(obj: Any, *path: str, default: str = "") -> str:
    """The string at `path`, or `default` where there is none."""
    value = _at(obj, path)
    return value if isinstance(value, str) else default


def count_at(obj: Any, *path: str, default: int = 0) -> int:
    """The whole number at `path`, or `default` where there is none."""
    value = optional_count_at(obj, *path)
    return default if value is None else value


def optional_count_at(obj: Any, *path: str) -> int | None:
    """The whole number at `path`, or None where there is none."""
    value = _at(obj, path)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value)


def conditions_of(obj: Object) -> Iterator[Object]:
    """The conditions in the object's status; what is not shaped like one is passed over."""
    conditions = _at(obj, ("status", "conditions"))
    if isinstance(conditions, list):
        yield from (c for c in conditions if isinstance(c, dict) and isinstance(c.get("type"), str))


def condition(obj: Object, kind: str) -> Object | None:
    """The condition of that type, or None."""
    return next((c for c in conditions_of(obj) if c["type"] == kind), None)


def _at(obj: Any, path: tuple[str, ...]) -> Any:
    for part in path:
        if not isinstance(obj, dict):
            return None
        obj = obj.get(part)
    return obj
