"""Freezes and windows: whether a rollout may release now, and when that changes.

Pure: windows and a time in, a verdict out. Weekly times are the clock's: they are turned into spans
of real time for each date, so a change of the clocks neither opens a window twice nor skips one.
Where the clocks show a time twice, a span begins at the first and ends at the last showing; a time
that the clocks leave out is the moment they change. What a closed window holds is not decided
here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from shared.contract.freeze import Day, FreezeKind, FreezeSpec, Weekly
from shared.contract.reasons import ReasonCode
from shared.contract.rollout import WaitingFor

_DAYS: Final = tuple(Day)
_AHEAD: Final = 16
"""Days of weekly times that are looked at: two weeks, as the clocks can leave out a whole time, and
a day to each side for midnight's sake."""
_CHANGES: Final = 64
"""Changes of single windows that are followed in search of the next change of the verdict."""
_MINUTE: Final = timedelta(minutes=1)
_ALWAYS: Final = timedelta(days=8)
"""No span is as long that has a gap in each week, however the clocks change within."""


@dataclass(frozen=True, slots=True)
class Window:
    """One freeze or window of the tenant that is for this rollout."""

    name: str
    spec: FreezeSpec


@dataclass(frozen=True, slots=True)
class Standing:
    """How one window stands: in force or not, and when that changes; None where it never does."""

    in_force: bool
    changes_at: datetime | None


@dataclass(frozen=True, slots=True)
class Windows:
    """All windows of one rollout, and the names in its strategy that stand for none."""

    found: tuple[Window, ...] = ()
    missing: tuple[str, ...] = ()
    override_until: datetime | None = None
    """Nothing holds the rollout before this time."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether releases are held, by what, and until when; None where no end is in sight."""

    reason: ReasonCode | None = None
    message: str = ""
    changes_at: datetime | None = None

    @property
    def is_open(self) -> bool:
        """True while nothing holds releases."""
        return self.reason is None

    def as_waiting(self) -> WaitingFor | None:
        """What a held rollout says; None while nothing holds it."""
        if self.reason is None:
            return None
        return WaitingFor(
            reason=self.reason,
            message=self.message,
            until=self.changes_at,
            ends_when="nothing holds releases any more, or someone overrides it",
        )


OPEN: Final = Verdict()


def judge_windows(windows: Windows, now: datetime) -> Verdict:
    """Whether the rollout may release now. A deny beats every allow; a missing window is closed."""
    held = _held_by(windows, now)
    if held is None:
        return Verdict(changes_at=_next_change(windows, now, is_open=True))
    reason, message = held
    return Verdict(reason, message, _next_change(windows, now, is_open=False))


def _held_by(windows: Windows, now: datetime) -> tuple[ReasonCode, str] | None:
    if windows.override_until is not None and now < windows.override_until:
        return None
    denies = [w.name for w in _of(windows, FreezeKind.DENY) if standing(w.spec, now).in_force]
    if denies:
        return ReasonCode.FREEZE_ACTIVE, f"freeze {_names(denies)} is in force"
    if windows.missing:
        return (
            ReasonCode.WINDOW_CLOSED,
            f"the strategy names {_names(windows.missing)}, which does not exist: "
            "make it, or override it for this rollout",
        )
    allows = _of(windows, FreezeKind.ALLOW)
    if allows and not any(standing(w.spec, now).in_force for w in allows):
        return ReasonCode.WINDOW_CLOSED, f"window {_names([w.name for w in allows])} is closed"
    return None


def _of(windows: Windows, kind: FreezeKind) -> list[Window]:
    return [window for window in windows.found if window.spec.kind is kind]


def _names(names: Sequence[str]) -> str:
    return ", ".join(names)


def _next_change(windows: Windows, now: datetime, *, is_open: bool) -> datetime | None:
    """The next moment at which the verdict is another; followed for a bounded number of changes."""
    at = now
    for _ in range(_CHANGES):
        found = min(_changes_after(windows, at), default=None)
        if found is None or (_held_by(windows, found) is None) is not is_open:
            return found
        at = found
    return at


def _changes_after(windows: Windows, at: datetime) -> Iterator[datetime]:
    if windows.override_until is not None and at < windows.override_until:
        yield windows.override_until
    for window in windows.found:
        changes_at = standing(window.spec, at).changes_at
        if changes_at is not None:
            yield changes_at


def standing(spec: FreezeSpec, now: datetime) -> Standing:
    """Whether a freeze or window is in force at `now`, whatever its kind, and until when."""
    if spec.ends_at is not None and now >= spec.ends_at:
        return Standing(False, None)
    if spec.starts_at is not None and now < spec.starts_at:
        return Standing(False, _first_from(spec, spec.starts_at))
    if not spec.weekly:
        return Standing(True, spec.ends_at)
    for start, end in _spans(spec, now):
        if start <= now < end:
            return Standing(True, _capped(spec, end) if end - now < _ALWAYS else spec.ends_at)
    return Standing(False, _first_from(spec, now))


def _first_from(spec: FreezeSpec, at: datetime) -> datetime | None:
    """The first moment from `at` on at which it is in force; None where there is none."""
    if not spec.weekly:
        return at
    starts = (max(start, at) for start, end in _spans(spec, at) if end > at)
    first = min(starts, default=None)
    return first if first is None or spec.ends_at is None or first < spec.ends_at else None


def _capped(spec: FreezeSpec, end: datetime) -> datetime:
    return end if spec.ends_at is None else min(end, spec.ends_at)


def _spans(spec: FreezeSpec, around: datetime) -> list[tuple[datetime, datetime]]:
    """The weekly times as spans of UTC from the day before on, those that touch made one."""
    zone = ZoneInfo(spec.time_zone)
    today = around.astimezone(zone).date()
    dates = [today + timedelta(days=n) for n in range(-1, _AHEAD)]
    found = sorted(
        span
        for weekly in spec.weekly
        for day in dates
        if _DAYS[day.weekday()] in weekly.days
        for span in [occurrence(weekly, day, zone)]
        if span[0] < span[1]
    )
    merged: list[tuple[datetime, datetime]] = []
    for start, end in found:
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def occurrence(weekly: Weekly, day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """The span in UTC, end excluded, of the weekly time that begins on this date."""
    start, end = time.fromisoformat(weekly.start), time.fromisoformat(weekly.end)
    last_day = day if end > start else day + timedelta(days=1)
    return (
        _first_showing(datetime.combine(day, start), zone),
        _end_of_showing(datetime.combine(last_day, end), zone),
    )


def _first_showing(local: datetime, zone: ZoneInfo) -> datetime:
    """When the clocks first show this time, or go past it where they leave it out."""
    first, second = _readings(local, zone)
    if first > second:
        return _clock_change(second, first, zone)
    return first


def _end_of_showing(local: datetime, zone: ZoneInfo) -> datetime:
    """From when on the clocks show no time before this one any more."""
    first, second = _readings(local, zone)
    if first > second:
        return _clock_change(second, first, zone)
    before, again = _readings(local - _MINUTE, zone)
    return second if before < again else first


def _readings(local: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """PEP 495's two readings of a local time: apart when it is shown twice (in order) or never."""
    first = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
    second = local.replace(tzinfo=zone, fold=1).astimezone(UTC)
    return first, second


def _clock_change(low: datetime, high: datetime, zone: ZoneInfo) -> datetime:
    """The second in (low, high] at which the offset of the zone changes."""
    before = low.astimezone(zone).utcoffset()
    while high - low > timedelta(seconds=1):
        middle = low + timedelta(seconds=int((high - low).total_seconds()) // 2)
        if middle.astimezone(zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    return high
