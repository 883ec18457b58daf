"""Selectors in their three forms."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dev.kube.errors import StatusError
from dev.kube.selectors import parse_fields, parse_labels, selects

labels = st.dictionaries(st.sampled_from("abc"), st.sampled_from("xyz"), max_size=3)


def matches(selector: str, **have: str) -> bool:
    test = parse_labels(selector)
    return test is None or test({"metadata": {"labels": have}})


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("", True), ("a", True), ("!a", False), ("!c", True), ("a=x", True), ("a==x", True),
        ("a!=x", False), ("c!=x", True), ("a in (x,y)", True), ("a in (y)", False),
        ("a notin (y)", True), ("c notin (y)", True), ("a=x,b=2", True), ("a=x, b=3", False),
        ("b>1", True), ("b<2", False), ("a=x,!c,b in (1, 2)", True), ("a=", False),
        ("example.com/a", False), ("a in (x),b", True),
    ],
)  # fmt: skip
def test_label_selectors_select(selector: str, expected: bool) -> None:
    assert matches(selector, a="x", b="2") is expected


@pytest.mark.parametrize("selector", ["a in b", "a=(", ",", "=x", "a,,b", "a in (x"])
def test_unreadable_selectors_are_refused(selector: str) -> None:
    with pytest.raises(StatusError) as caught:
        parse_labels(selector)
    assert caught.value.code == 400


@given(labels, labels)
def test_text_and_object_select_the_same(wanted: dict[str, str], have: dict[str, str]) -> None:
    text = ",".join(f"{key}={value}" for key, value in wanted.items())
    assert matches(text, **have) is selects({"matchLabels": wanted}, have)


@given(labels, st.sampled_from("abc"), st.lists(st.sampled_from("xyz"), min_size=1))
def test_expressions_mean_what_their_text_means(
    have: dict[str, str], key: str, values: list[str]
) -> None:
    for operator, text in (
        ("In", f"{key} in ({','.join(values)})"),
        ("NotIn", f"{key} notin ({','.join(values)})"),
        ("Exists", key),
        ("DoesNotExist", f"!{key}"),
    ):
        expression = {"key": key, "operator": operator, "values": values}
        assert selects({"matchExpressions": [expression]}, have) is matches(text, **have)


def test_no_selector_selects_nothing_and_an_empty_one_everything() -> None:
    assert not selects(None, {"a": "b"})
    assert selects({}, {"a": "b"})


def test_field_selectors_compare_texts() -> None:
    test = parse_fields(
        "status.phase!=Running,spec.on=true", frozenset({"status.phase", "spec.on"})
    )
    assert test is not None
    assert test({"status": {"phase": "Pending"}, "spec": {"on": True}})
    assert not test({"status": {"phase": "Running"}, "spec": {"on": True}})
    with pytest.raises(StatusError, match="field label not supported: spec"):
        parse_fields("spec.off=1", frozenset({"spec.on"}))
