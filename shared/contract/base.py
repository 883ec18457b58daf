"""The base of every wire model, and the field types that several of them share.

Unknown fields are refused rather than dropped: a misspelt limit must never mean "no limit".
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, ClassVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel

API_VERSION = "arcbridge.io/v1"

NAME = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
"""RFC 1123 label."""
DIGEST = r"^sha256:[0-9a-f]{64}$"
LABEL_KEY = (
    r"^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$"
)
LABEL_VALUE = r"^([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?$"

_DURATION = re.compile(
    r"(?=.)(?:(\d{1,4})d)?(?:(\d{1,5})h)?(?:(\d{1,6})m(?!s))?(?:(\d{1,7})s)?(?:(\d{1,9})ms)?"
)
_UNITS = ("days", "hours", "minutes", "seconds", "milliseconds")
_INT_OR_PERCENT = re.compile(r"(?:0|[1-9]\d{0,6})|(?:100|[1-9]?\d)%")


class WireModel(BaseModel):
    """A frozen model with camelCase names on the wire that refuses unknown fields."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        extra="forbid",
        frozen=True,
        ser_json_timedelta="float",
    )

    def to_wire(self) -> dict[str, Any]:
        """The JSON-ready form: camelCase keys, absent optional fields left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    def to_canonical(self) -> dict[str, Any]:
        """The form that digests are made of: fields at their default are left out.

        So an optional field added by a later release changes no digest, and an older agent only
        meets a field it does not know where someone uses it; then it refuses, as it must.
        """
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def parse_duration(text: str) -> timedelta:
    """Parse a strict duration such as `90s`, `5m`, `1h30m` or `1d`.

    Raises ValueError for anything else: `10mfoo`, a bare number, an empty string.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a duration: write it as 90s, 5m, 1h30m or 1d")
    parts = {unit: int(n) for unit, n in zip(_UNITS, match.groups(), strict=True) if n}
    return timedelta(**parts)


def format_duration(value: timedelta) -> str:
    """The shortest text that `parse_duration` reads back as the same value; `0s` for zero."""
    millis = round(value.total_seconds() * 1000)
    out = []
    for suffix, size in (
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1000),
        ("ms", 1),
    ):
        count, millis = divmod(millis, size)
        if count:
            out.append(f"{count}{suffix}")
    return "".join(out) or "0s"


def _duration(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


def _only_timedelta(value: object) -> object:
    if isinstance(value, int | float):
        raise ValueError("a duration needs its unit: write it as 90s, 5m, 1h30m or 1d")  # noqa: TRY004 - pydantic reports ValueError to the user
    return value


Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    BeforeValidator(_only_timedelta),
    PlainSerializer(format_duration, return_type=str, when_used="json"),
    WithJsonSchema(
        {"type": "string", "pattern": r"^(\d+d)?(\d+h)?(\d+m)?(\d+s)?(\d+ms)?$", "examples": ["5m"]}
    ),
]
"""A strict duration: `90s`, `5m`, `1h30m`, `1d`."""


def _int_or_percent(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, str) and _INT_OR_PERCENT.fullmatch(value):
        return value
    raise ValueError("write a whole number from 0 up, or a percentage such as 10%")


IntOrPercent = Annotated[
    str,
    BeforeValidator(_int_or_percent),
    PlainSerializer(lambda v: v if v.endswith("%") else int(v), when_used="json"),
    WithJsonSchema(
        {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": r"^\d{1,3}%$"}]}
    ),
]
"""A count, or a percentage of a stage's targets. Kept as text: `3` or `10%`."""


def _no_nul(text: str) -> str:
    if "\x00" in text or any(0xD800 <= ord(ch) <= 0xDFFF for ch in text):
        raise ValueError("NUL and lone surrogate characters cannot be stored: remove them")
    return text


def _utc(value: datetime) -> datetime:
    return value.astimezone(UTC)


Text = Annotated[str, AfterValidator(_no_nul)]
Timestamp = Annotated[AwareDatetime, AfterValidator(_utc)]
"""RFC 3339 with an offset; kept in UTC."""

Name = Annotated[
    str,
    StringConstraints(pattern=NAME, max_length=63),
    Field(description="RFC 1123 label: lower case letters, digits and '-', 63 characters at most"),
]
Digest = Annotated[str, StringConstraints(pattern=DIGEST)]
LabelKey = Annotated[str, StringConstraints(pattern=LABEL_KEY, max_length=317)]
LabelValue = Annotated[str, StringConstraints(pattern=LABEL_VALUE, max_length=63)]
Labels = Annotated[dict[LabelKey, LabelValue], Field(max_length=64)]
Annotations = Annotated[
    dict[LabelKey, Annotated[Text, StringConstraints(max_length=4096)]], Field(max_length=64)
]
Reason = Annotated[Text, StringConstraints(min_length=1, max_length=512, strip_whitespace=True)]
"""Why a person does this; kept in the audit trail."""


class ObjectMeta(WireModel):
    """The metadata of a declared resource, in the Kubernetes shape."""

    name: Name
    labels: Labels = Field(default_factory=dict)
    annotations: Annotations = Field(default_factory=dict)
