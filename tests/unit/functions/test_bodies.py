"""Bodies that attack the reader: every one ends as a 400, 413 or 415, in bounded time."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from functions.edge import bodies
from shared.contract.errors import ErrorCode
from shared.contract.yaml_text import YamlRefused, read_document, read_documents
from shared.domain.errors import ArcBridgeError

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**15), 10**15)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text('abc[]{}"\\'), inner),
    max_leaves=20,
)


def read(body: bytes, kind: str = bodies.JSON) -> object:
    return json.loads(bodies.to_json_bytes(body, kind, (bodies.JSON, bodies.YAML)))


def refused(body: bytes, kind: str) -> ErrorCode | None:
    """The code that a body is refused with; None when it is taken."""
    try:
        read(body, kind)
    except ArcBridgeError as error:
        return error.code
    return None


@given(VALUES)
def test_every_json_value_is_read_as_it_is(value: object) -> None:
    assert read(json.dumps(value).encode()) == value


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_in_words(body: bytes) -> None:
    for kind in (bodies.JSON, bodies.YAML):
        refusal = refused(body, kind)
        assert refusal in (None, ErrorCode.INVALID_REQUEST)


def test_depth_is_counted_outside_of_strings_only() -> None:
    bodies.check_depth(b'["' + b"[{" * 1000 + b'"]')
    bodies.check_depth(b'["\\"' + b"[" * 1000 + b'"]')
    with pytest.raises(ArcBridgeError, match="deep"):
        bodies.check_depth(b"[" * 65)


@pytest.mark.parametrize("body", [b"[" * 250_000, b'"' * 250_000, b'"' + b"\\" * 250_000])
def test_a_long_hostile_body_is_refused_fast(body: bytes) -> None:
    started = time.perf_counter()
    with pytest.raises(ArcBridgeError):
        read(body)
    assert time.perf_counter() - started < 2


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: &x [1]\nb: *x", "anchors"),
        ("a: *x", "aliases"),
        ("<<: {a: 1}", "merge keys"),
        ("a: 1\na: 2", "twice"),
        ("? [a]\n: 1", "must be text"),
        ("a: !!python/object/apply:os.system [id]", "tag"),
        ("[" * 100, "deep"),
        ("a: 1e9999", "too large"),
        ("a: [", "line 2"),
        ("a: 1\n---\nb: 2", "one document"),
        ("", "one document"),
    ],
)
def test_yaml_that_is_more_than_data_is_refused(text: str, why: str) -> None:
    with pytest.raises(YamlRefused, match=why):
        read_document(text)


def test_yaml_reads_what_people_mean() -> None:
    text = "on: no\nversion: 1.10\nwhen: 2024-01-01\nid: '007'\nmode: 0o644\nnone: ~\n"
    assert read_document(text) == {
        "on": "no",
        "version": 1.1,
        "when": "2024-01-01",
        "id": "007",
        "mode": 0o644,
        "none": None,
    }
    assert read_documents("---\na: 1\n---\n---\nb: 2\n") == [{"a": 1}, {"b": 2}]


@given(VALUES)
def test_json_is_yaml(value: object) -> None:
    text = json.dumps({"v": value}, ensure_ascii=True)
    assume("\\ud" not in text)  # YAML knows no pairs of surrogate escapes
    assert read_document(text) == {"v": value}


def test_a_body_at_its_limit_is_taken() -> None:
    bodies.check_size(b"x" * 1024, 1024)
    with pytest.raises(ArcBridgeError) as caught:
        bodies.check_size(b"x" * 1025, 1024)
    assert caught.value.code is ErrorCode.TOO_LARGE


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (rb'{"spec": {"values": [1, {"note": "a\u0000"}]}}', "spec.values[1].note"),
        (rb'{"spec": {"values": {"\ud800": 1}}}', "spec.values"),
        (rb'"\u0000"', "body"),
    ],
)
def test_text_that_cannot_be_stored_is_named_by_its_path(body: bytes, field: str) -> None:
    with pytest.raises(ArcBridgeError) as caught:
        read(body)
    assert [error.field for error in caught.value.errors] == [field]
