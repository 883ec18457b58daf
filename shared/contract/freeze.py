"""Freezes and windows: when a tenant's rollouts may release, and when not.

A freeze (`deny`) holds releases while it is in force; a window (`allow`) holds them while it is
not. Deny beats allow. Rollbacks are held by neither.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from shared.contract.base import Name, Reason, Timestamp, WireModel
from shared.contract.limits import EXTENSIONS_PER_FREEZE, WEEKLY_TIMES_PER_FREEZE

TIME_OF_DAY = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"
TIME_ZONE = r"^[A-Za-z][A-Za-z0-9_+-]{0,30}(/[A-Za-z0-9_+-]{1,30}){0,2}$"

TimeOfDay = Annotated[str, StringConstraints(pattern=TIME_OF_DAY)]
"""On a 24-hour clock: `22:30`."""
TimeZone = Annotated[str, StringConstraints(pattern=TIME_ZONE, max_length=64)]
"""A name of the IANA time zone database: `Europe/Berlin`, `UTC`."""


class FreezeKind(StrEnum):
    """What being in force means."""

    DENY = "deny"
    """A freeze: nothing is released while it is in force."""
    ALLOW = "allow"
    """A window: nothing is released unless it, or another window of the rollout, is in force."""


class FreezeScope(StrEnum):
    """Which rollouts it is for."""

    NAMED = "named"
    """Those whose strategy names it in `windows`."""
    GLOBAL = "global"
    """All rollouts of the tenant."""


class Day(StrEnum):
    """A day of the week, in the order of ISO 8601."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


class Weekly(WireModel):
    """A time that comes back every week, as the clocks of the time zone show it."""

    days: Annotated[tuple[Day, ...], Field(min_length=1, max_length=7)]
    """The days on which it begins."""
    start: TimeOfDay
    end: TimeOfDay
    """Not after `start`: on the day after. The same as `start`: 24 hours by the clock."""


class FreezeSpec(WireModel):
    """The body of PUT /freezes/{name}. In force when all that is given holds."""

    kind: FreezeKind = FreezeKind.DENY
    scope: FreezeScope = FreezeScope.NAMED
    time_zone: TimeZone = "UTC"
    """Of the weekly times."""
    weekly: Annotated[tuple[Weekly, ...], Field(max_length=WEEKLY_TIMES_PER_FREEZE)] = ()
    """Any of them is enough. Without any: at all times."""
    starts_at: Timestamp | None = None
    ends_at: Timestamp | None = None
    extensions: Annotated[tuple[Name, ...], Field(max_length=EXTENSIONS_PER_FREEZE)] = ()
    """Rollouts of these only; without any: of every extension."""
    reason: Reason | None = None

    @model_validator(mode="after")
    def _is_in_force_at_some_times(self) -> Self:
        if self.starts_at and self.ends_at and self.ends_at <= self.starts_at:
            raise ValueError("endsAt must be after startsAt")
        bounded = self.weekly or self.starts_at or self.ends_at
        if self.kind is FreezeKind.ALLOW and not bounded:
            raise ValueError("a window that is always open holds nothing: give weekly or endsAt")
        return self


class Freeze(FreezeSpec):
    """One freeze or window as it is stored, and as it stands now."""

    name: Name
    in_force: bool
    changes_at: Timestamp | None = None
    """When it begins or ends next, where that is known."""
    created_by: str
    created_at: Timestamp
    updated_at: Timestamp
    etag: str


class FreezeOverride(WireModel):
    """The body of POST /rollouts/{id}/override-freeze."""

    reason: Reason
    expires_at: Timestamp
    """Releases are held again from then on; 24 hours ahead at most."""
