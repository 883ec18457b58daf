import json
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shared.services.audit import _as_stored, entry_hash

ROW: dict[str, Any] = {
    "tenant": "acme", "sequence": 1, "at": datetime(2026, 3, 1, tzinfo=UTC), "actor": "person:1",
    "address": None, "action": "a", "subject": "s", "reason": None, "message": "", "data": {},
    "trace_id": None, "previous_hash": "",
}  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)  # fmt: skip


def test_every_field_is_covered_by_the_hash() -> None:
    changed = {
        "tenant": "other", "sequence": 2, "at": datetime(2026, 3, 2, tzinfo=UTC), "actor": "x",
        "address": "x", "action": "x", "subject": "x", "reason": "x", "message": "x",
        "data": {"x": 1}, "trace_id": "x", "previous_hash": "x",
    }  # fmt: skip
    assert set(changed) == set(ROW)
    hashes = {entry_hash(ROW | {name: value}) for name, value in changed.items()}
    assert len(hashes | {entry_hash(ROW)}) == len(ROW) + 1


@given(st.dictionaries(st.text(max_size=5), JSON))
def test_data_hashes_the_same_after_it_was_stored(data: dict[str, Any]) -> None:
    """`jsonb` keeps numbers by value: 2.0 comes back as 2."""
    stored = _as_stored(data)
    assert entry_hash(ROW | {"data": json.loads(json.dumps(stored))}) == entry_hash(
        ROW | {"data": stored}
    )
