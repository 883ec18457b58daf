from contextlib import suppress
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.errors import ArcBridgeError
from shared.services import cursors

TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=60)


@given(TEXT, TEXT)
def test_a_cursor_reads_back(first: str, second: str) -> None:
    assert cursors.decode(cursors.encode(first, second), str, str) == (first, second)


@given(st.text(max_size=100))
def test_junk_is_refused_and_never_breaks(text: str) -> None:
    with suppress(ArcBridgeError):
        (number,) = cursors.decode(text, int) or (None,)
        assert type(number) is int


def test_a_moment_reads_back_and_needs_its_offset() -> None:
    now, row = datetime.now(UTC), uuid4()
    assert cursors.decode_moment(cursors.encode(now.isoformat(), str(row))) == (now, row)
    for wrong in (("2026-01-01T00:00:00", str(row)), ("now", str(row)), (now.isoformat(), "x")):
        with pytest.raises(ArcBridgeError):
            cursors.decode_moment(cursors.encode(*wrong))


@pytest.mark.parametrize("limit", [0, -1, 501])
def test_a_page_has_bounds(limit: int) -> None:
    with pytest.raises(ArcBridgeError):
        cursors.page_size(limit)


@pytest.mark.parametrize("cursor", ["W3RydWVd", "WzEuNV0", "WzFlNDAwXQ"])
def test_a_number_must_be_a_whole_one(cursor: str) -> None:
    with pytest.raises(ArcBridgeError):
        cursors.decode(cursor, int)
