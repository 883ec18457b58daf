"""Quantities, printed ages, JSON paths, version order: small texts that clients compare."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dev.kube.controllers.pods import exit_code, is_broken
from dev.kube.custom import version_rank
from dev.kube.jsonpath import first_value, values
from dev.kube.pod_defaults import pull_policy
from dev.kube.quantity import canonical
from dev.kube.tables import age


@pytest.mark.parametrize(
    ("given_text", "expected"),
    [
        ("0.5", "500m"), ("1000m", "1"), ("1024Mi", "1Gi"), ("1500Mi", "1500Mi"), (1, "1"),
        ("1e3", "1k"), ("0", "0"), ("100M", "100M"), ("1Gi", "1Gi"), ("0.1", "100m"),
        ("1.5Gi", "1536Mi"), ("12E", "12E"), (2.5, "2500m"), ("nonsense", "nonsense"),
        ("128974848", "128974848"), ("-1", "-1"),
    ],
)  # fmt: skip
def test_quantities_become_canonical(given_text: object, expected: str) -> None:
    assert canonical(given_text) == expected


@given(st.integers(0, 10**7), st.sampled_from(["m", "", "k", "M", "Ki", "Mi", "Gi"]))
def test_canonical_quantities_stay_as_they_are(number: int, suffix: str) -> None:
    once = canonical(f"{number}{suffix}")
    assert canonical(once) == once


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0s"), (119, "119s"), (120, "2m"), (192, "3m12s"), (600, "10m"), (10_799, "179m"),
        (10_800, "3h"), (15_000, "4h10m"), (30_000, "8h"), (172_800, "2d"), (180_000, "2d2h"),
        (8 * 86_400, "8d"), (800 * 86_400, "2y"),
    ],
)  # fmt: skip
def test_ages_read_as_kubectl_shows_them(seconds: int, shown: str) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    then = (now - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert age(then, now) == shown


def test_json_paths_reach_members_items_and_filtered_items() -> None:
    obj = {
        "spec": {"a.b": 1, "list": [{"type": "A", "v": 1}, {"type": "B", "v": 2}]},
        "metadata": {"annotations": {"example.com/x": "y"}},
    }
    assert first_value(obj, ".spec.a\\.b") == 1
    assert first_value(obj, ".spec.list[1].v") == 2
    assert first_value(obj, '.spec.list[?(@.type=="B")].v') == 2
    assert values(obj, ".spec.list[*].v") == [1, 2]
    assert first_value(obj, ".metadata.annotations.example\\.com/x") == "y"
    assert first_value(obj, ".spec.absent.deeper") is None


def test_versions_are_ordered_by_stability_then_number() -> None:
    shuffled = ["v1beta1", "foo", "v1", "v2alpha1", "v11", "v2", "v1beta2"]
    ordered = ["v11", "v2", "v1", "v1beta2", "v1beta1", "v2alpha1", "foo"]
    assert sorted(shuffled, key=version_rank, reverse=True) == ordered


@pytest.mark.parametrize(
    ("image", "broken", "policy"),
    [
        ("nginx", False, "Always"), ("nginx:latest", False, "Always"),
        ("host:5000/nginx", False, "Always"), ("nginx:1.27", False, "IfNotPresent"),
        ("nginx@sha256:00", False, "IfNotPresent"), ("nginx:broken", True, "IfNotPresent"),
        ("some/broken:1", True, "IfNotPresent"), ("broken/nginx:1", False, "IfNotPresent"),
        ("unbroken:1", False, "IfNotPresent"),
    ],
)  # fmt: skip
def test_images_say_when_they_are_pulled_and_whether_they_can_be(
    image: str, broken: bool, policy: str
) -> None:
    assert is_broken(image) is broken
    assert pull_policy(image) == policy


def test_commands_that_plainly_fail_fail() -> None:
    assert exit_code({}) == 0
    assert exit_code({"command": ["false"]}) == 1
    assert exit_code({"command": ["sh", "-c"], "args": ["echo no; exit 3"]}) == 3
    assert exit_code({"command": ["sh", "-c", "exit 0"]}) == 0
    assert exit_code({"command": ["true"]}) == 0
