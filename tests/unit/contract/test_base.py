"""Durations, counts and names: strict, so that a slip of the pen is never a limit undone."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from shared.contract.base import (
    Duration,
    IntOrPercent,
    Name,
    Text,
    Timestamp,
    format_duration,
    parse_duration,
)

durations = st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=999)).map(
    lambda d: timedelta(milliseconds=d // timedelta(milliseconds=1))
)


@given(durations)
def test_a_duration_survives_being_written_and_read(value: timedelta) -> None:
    assert parse_duration(format_duration(value)) == value


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("5m", 300),
        ("1h30m", 5400),
        ("1d", 86400),
        ("250ms", 0.25),
        ("0s", 0),
        ("5m30s", 330),
    ],
)
def test_durations_are_read_as_written(text: str, seconds: float) -> None:
    assert TypeAdapter(Duration).validate_python(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text",
    ["10mfoo", "", "5", "m", "5 m", "-5m", "5m1h", "1.5h", "5M", 300, 1.5, None, "∞", "5m\n"],
)
def test_anything_else_is_refused_as_a_duration(text: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Duration).validate_python(text)


@pytest.mark.parametrize(
    ("given_", "kept"), [(3, "3"), ("3", "3"), ("10%", "10%"), ("0%", "0%"), ("100%", "100%")]
)
def test_counts_and_percentages_are_kept_as_text(given_: object, kept: str) -> None:
    assert TypeAdapter(IntOrPercent).validate_python(given_) == kept


@pytest.mark.parametrize("bad", [-1, "101%", "ten", "", 1.5, True, None, "1 %", "%", "007", "10%%"])
def test_other_counts_are_refused(bad: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(IntOrPercent).validate_python(bad)


@pytest.mark.parametrize(
    "bad", ["", "-a", "a-", "A", "a.b", "a" * 64, "--kubeconfig", "a\n", "a\x00"]
)
def test_names_are_rfc_1123_labels(bad: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Name).validate_python(bad)


@pytest.mark.parametrize("bad", ["a\x00b", "\ud800"])
def test_text_that_no_database_keeps_is_refused(bad: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Text).validate_python(bad)


def test_times_need_an_offset_and_become_utc() -> None:
    adapter = TypeAdapter(Timestamp)
    assert (
        adapter.validate_python("2026-03-01T12:00:00+02:00").isoformat()
        == "2026-03-01T10:00:00+00:00"
    )
    with pytest.raises(ValidationError):
        adapter.validate_python("2026-03-01T12:00:00")
