from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contract.errors import ErrorCode
from shared.contract.extension import ExtensionSpec, ResolvedSpec
from shared.contract.strategy import RolloutStrategy
from shared.domain.changes import changes
from shared.domain.dependencies import find_cycle
from shared.domain.errors import ArcBridgeError
from shared.domain.ids import uuid7
from shared.domain.resolve import Resolver, resolve
from shared.domain.stages import Member, arrange

NOW = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)


def spec(**fields: object) -> ExtensionSpec:
    return ExtensionSpec.model_validate(
        {
            "placement": {},
            "source": {
                "helm": {"repo": "oci://charts.test/app", "chart": "app", "version": "1.0.0"}
            },
            "namespace": "app",
            **fields,
        }
    )


def member(number: int, reachable: bool = True, **labels: str) -> Member:
    return Member(UUID(int=number), f"c{number:03}", labels, reachable)


def test_error_keeps_its_code_and_detail() -> None:
    error = ArcBridgeError(ErrorCode.CONFLICT, "it is over", retry_after=2.0)
    assert (error.code, error.detail, error.retry_after) == (ErrorCode.CONFLICT, "it is over", 2.0)


def test_later_overrides_win_and_objects_merge() -> None:
    declared = spec(
        values={"replicas": 1, "image": {"tag": "a", "pull": "Always"}},
        overrides=[
            {"match": {"matchLabels": {"region": "eu"}}, "values": {"replicas": 2}},
            {"match": {}, "values": {"image": {"tag": "b"}}},
            {"match": {"matchLabels": {"ring": "canary"}}, "values": {"replicas": 9}},
        ],
    )
    got = resolve(declared, {"region": "eu"})
    assert got.spec.values == {"replicas": 2, "image": {"tag": "b", "pull": "Always"}}
    assert resolve(declared, {"region": "eu", "ring": "canary"}).spec.values["replicas"] == 9


def test_placement_and_rollout_do_not_change_what_a_cluster_gets() -> None:
    one = resolve(spec(), {}).digest
    other = resolve(spec(placement={"matchLabels": {"a": "b"}}, rollout={"order": ["name"]}), {})
    assert one == other.digest


def test_every_declared_field_of_a_resolved_spec_reaches_the_clusters() -> None:
    declared = spec(serviceAccount="deployer", dependsOn=["db"], readiness={"timeout": "9m"})
    got = resolve(declared, {}).spec
    for name in ResolvedSpec.model_fields:
        assert getattr(got, name) == getattr(declared, name), name
    assert got.service_account == "deployer"


def test_resolver_resolves_each_combination_once() -> None:
    resolver = Resolver(
        spec(overrides=[{"match": {"matchLabels": {"a": "b"}}, "values": {"x": 1}}])
    )
    assert resolver.resolve({"a": "b"}) is resolver.resolve({"a": "b", "c": "d"})
    assert resolver.resolve({}).digest != resolver.resolve({"a": "b"}).digest


def test_changes_are_pointers_with_escaped_steps() -> None:
    old = {"values": {"a/b": 1, "list": [1, 2], "same": {"x": 1}}, "gone": True}
    new = {"values": {"a/b": 2, "list": [1], "same": {"x": 1}, "t~": 0}}
    assert changes(old, new) == ("/gone", "/values/a~1b", "/values/list", "/values/t~0")
    assert changes(old, old) == ()
    assert changes({"n": 1}, {"n": True}) == ("/n",)


def test_cycle_is_named_from_the_extension_that_is_published() -> None:
    graph = {"app": ["db", "cert"], "db": ["net"], "net": ["app"]}
    assert find_cycle(graph, "app") == ("app", "db", "net", "app")
    assert find_cycle({"app": ["app"]}, "app") == ("app", "app")


def test_cycle_elsewhere_and_missing_extensions_are_no_cycle_here() -> None:
    assert find_cycle({"app": ["a"], "a": ["b", "later"], "b": ["a"]}, "app") is None


@given(st.integers(0, 7_000_000_000_000), st.binary(min_size=10, max_size=10))
def test_uuid7_has_its_version_variant_and_time(millis: int, random: bytes) -> None:
    made = uuid7(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=millis), random)
    assert made.version == 7
    assert made.variant == "specified in RFC 4122"
    assert made.int >> 80 == millis


def test_uuid7_refuses_too_little_randomness() -> None:
    with pytest.raises(ValueError, match="10 random bytes"):
        uuid7(NOW, b"short")


def test_default_strategy_takes_one_canary_then_everything_left() -> None:
    placed = arrange(RolloutStrategy(), [member(n) for n in (3, 1, 2)]).placed
    assert [(p.member.name, p.stage, p.position) for p in placed] == [
        ("c001", 0, 0),
        ("c002", 1, 1),
        ("c003", 1, 2),
    ]


def test_a_canary_that_cannot_be_reached_is_passed_over() -> None:
    placed = arrange(RolloutStrategy(), [member(1, reachable=False), member(2)]).placed
    assert [(p.member.name, p.stage) for p in placed] == [("c002", 0), ("c001", 1)]


@pytest.mark.parametrize(
    ("members", "canary"),
    [
        ([("a", True, True), ("b", True, False)], "b"),
        ([("a", False, False), ("b", True, True)], "b"),
        ([("a", True, True), ("b", True, True)], "a"),
    ],
    ids=[
        "it waits for a dependency",
        "it is silent, which is worse",
        "all wait: the first by name",
    ],
)
def test_a_canary_is_one_that_can_go_soonest(
    members: list[tuple[str, bool, bool]], canary: str
) -> None:
    fleet = [Member(UUID(int=n), name, {}, *how) for n, (name, *how) in enumerate(members)]
    placed = arrange(RolloutStrategy(), fleet).placed
    assert [p.member.name for p in placed if p.stage == 0] == [canary]


def test_order_by_label_puts_clusters_without_it_last() -> None:
    strategy = RolloutStrategy.model_validate(
        {"order": ["label:ring", "name"], "stages": [{"name": "all"}]}
    )
    members = [member(1), member(2, ring="b"), member(3, ring="a")]
    assert [p.member.name for p in arrange(strategy, members).placed] == ["c003", "c002", "c001"]


def test_cluster_that_no_stage_takes_is_left_out() -> None:
    strategy = RolloutStrategy.model_validate(
        {"stages": [{"name": "eu", "match": {"matchLabels": {"region": "eu"}}}]}
    )
    got = arrange(strategy, [member(1, region="us"), member(2, region="eu")])
    assert [m.name for m in got.left_out] == ["c001"]
    assert [p.member.name for p in got.placed] == ["c002"]


@given(st.lists(st.booleans(), max_size=40), st.integers(1, 5))
def test_every_cluster_is_placed_exactly_once(reach: list[bool], cap: int) -> None:
    strategy = RolloutStrategy.model_validate(
        {"stages": [{"name": "a", "maxTargets": cap}, {"name": "b"}]}
    )
    placed = arrange(strategy, [member(n, ok) for n, ok in enumerate(reach)]).placed
    assert sorted(p.member.name for p in placed) == sorted(f"c{n:03}" for n in range(len(reach)))
    assert [p.position for p in placed] == list(range(len(reach)))
    assert sum(p.stage == 0 for p in placed) == min(cap, len(reach))


def test_everything_that_is_declared_for_a_cluster_reaches_it() -> None:
    declared = {
        "service_account": "deployer",
        "secrets": (
            {
                "name": "db",
                "provider": "aws-secrets-manager",
                "region": "eu-west-1",
                "objects": [{"name": "prod/db", "key": "password"}],
            },
        ),
        "depends_on": ("cert-manager",),
        "readiness": {"timeout": "1m"},
        "drift": {"mode": "correct"},
    }
    source = {"helm": {"repo": "https://charts.example.org", "chart": "web", "version": "1.2.3"}}
    asked = ExtensionSpec.model_validate(
        {"placement": {}, "source": source, "namespace": "web", "values": {"a": 1}, **declared}
    )
    resolved = resolve(asked, {}).spec
    for name in ResolvedSpec.model_fields:
        assert getattr(resolved, name) == getattr(asked, name), name
