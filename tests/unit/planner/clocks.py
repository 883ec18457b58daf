"""Times as people write them, and weekly times of freezes and windows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from shared.contract.freeze import Day, FreezeKind, FreezeSpec, Weekly

MINUTE = timedelta(minutes=1)
BERLIN = "Europe/Berlin"


def at(text: str, zone: str = "UTC") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def weekly(days: str, start: str, end: str) -> Weekly:
    return Weekly(days=tuple(Day(day) for day in days.split()), start=start, end=end)


def nights(kind: FreezeKind = FreezeKind.ALLOW, zone: str = BERLIN) -> FreezeSpec:
    return FreezeSpec(
        kind=kind, time_zone=zone, weekly=(weekly("mon tue wed thu fri", "22:00", "04:00"),)
    )
