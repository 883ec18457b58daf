"""A desired document is complete or refused."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from pydantic import ValidationError

from shared.contract.canonical import canonical_json, digest
from shared.contract.desired import DesiredDocument, DesiredExtension
from shared.contract.extension import ResolvedSpec
from shared.contract.placement import LabelSelector, MatchExpression, Placement
from shared.contract.reasons import ReasonCode, Severity

CLUSTER = UUID("01890000-0000-7000-8000-000000000001")
ROLLOUT = UUID("01890000-0000-7000-8000-000000000002")
SPEC = ResolvedSpec.model_validate(
    {
        "source": {
            "helm": {
                "repo": "oci://registry.example.org/charts",
                "chart": "web",
                "version": "1.2.3",
            }
        },
        "namespace": "web",
    }
)


def extension(name: str = "web", **changes: object) -> DesiredExtension:
    """One present extension with parts replaced."""
    fields: dict[str, object] = {
        "name": name,
        "state": "present",
        "revision": 1,
        "specDigest": digest(SPEC.to_canonical()),
        "generation": 1,
        "rolloutId": ROLLOUT,
        "spec": SPEC,
    }
    return DesiredExtension.model_validate(fields | changes)


def test_a_document_survives_the_wire() -> None:
    document = DesiredDocument.build("demo", CLUSTER, (extension("b"), extension("a")))
    assert [e.name for e in document.extensions] == ["a", "b"]
    assert DesiredDocument.model_validate(document.to_wire()) == document
    assert DesiredDocument.model_validate(document.to_canonical()) == document


def test_a_document_with_an_extension_missing_is_refused() -> None:
    wire = DesiredDocument.build("demo", CLUSTER, (extension("a"), extension("b"))).to_wire()
    wire["extensions"].pop()
    with pytest.raises(ValidationError, match="not complete"):
        DesiredDocument.model_validate(wire)


def test_a_spec_that_is_not_what_its_digest_says_is_refused() -> None:
    wire = DesiredDocument.build("demo", CLUSTER, (extension(),)).to_wire()
    wire["extensions"][0]["spec"]["namespace"] = "kube-system"
    with pytest.raises(ValidationError, match="specDigest"):
        DesiredDocument.model_validate(wire)


def test_only_a_tombstone_has_no_spec() -> None:
    assert extension(state="absent", spec=None).spec is None
    with pytest.raises(ValidationError):
        extension(spec=None)
    with pytest.raises(ValidationError):
        extension(state="absent")


def test_the_trace_is_no_part_of_what_is_desired() -> None:
    one = DesiredDocument.build("demo", CLUSTER, (extension(traceparent="00-a"),))
    two = DesiredDocument.build("demo", CLUSTER, (extension(traceparent="00-b"),))
    assert one.digest == two.digest


def test_everything_else_changes_the_digest() -> None:
    base = DesiredDocument.build("demo", CLUSTER, (extension(),)).digest
    accepted = {
        "target": {"kind": "Deployment"},
        "path": "/spec/replicas",
        "observed": 3,
        "expiresAt": datetime(2026, 1, 1, tzinfo=UTC),
    }
    for changed in (
        extension(generation=2),
        extension(revision=2),
        extension(correction=1),
        extension(acceptedDrift=[accepted]),
        extension(state="absent", spec=None),
    ):
        assert DesiredDocument.build("demo", CLUSTER, (changed,)).digest != base


def test_canonical_json_knows_neither_order_nor_white_space() -> None:
    assert canonical_json({"b": 1, "a": ["ü", None]}) == '{"a":["ü",null],"b":1}'.encode()
    with pytest.raises(ValueError, match="JSON"):
        canonical_json(float("nan"))


@pytest.mark.parametrize(
    ("operator", "values", "labels", "expected"),
    [
        ("In", ("eu",), {"region": "eu"}, True),
        ("In", ("eu",), {"region": "us"}, False),
        ("In", ("eu",), {}, False),
        ("NotIn", ("eu",), {"region": "us"}, True),
        ("NotIn", ("eu",), {"region": "eu"}, False),
        ("NotIn", ("eu",), {}, True),
        ("Exists", (), {"region": ""}, True),
        ("Exists", (), {}, False),
        ("DoesNotExist", (), {}, True),
        ("DoesNotExist", (), {"region": "eu"}, False),
    ],
)
def test_match_expressions_follow_kubernetes(
    operator: str, values: tuple[str, ...], labels: dict[str, str], expected: bool
) -> None:
    wire = {"key": "region", "operator": operator, "values": values}
    assert MatchExpression.model_validate(wire).matches(labels) is expected


def test_a_placement_is_the_union_of_its_list_and_its_selector() -> None:
    listed = Placement.model_validate({"clusters": ["a"]})
    assert listed.selects("a", {})
    assert not listed.selects("b", {})
    both = Placement.model_validate({"clusters": ["a"], "matchLabels": {"env": "prod"}})
    assert both.selects("a", {})
    assert both.selects("b", {"env": "prod"})
    assert not both.selects("b", {"env": "dev"})
    assert Placement().selects("any", {})
    assert LabelSelector().matches({})


def test_only_reasons_that_wake_a_person_have_a_runbook() -> None:
    for reason in ReasonCode:
        assert (reason.runbook is None) == (reason.severity is Severity.INFO)
        assert reason.summary.endswith(".")
        assert ReasonCode(str(reason)) is reason
