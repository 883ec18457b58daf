"""The stack always has five clusters or more, each with a name of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from dev.stack.clusters import FLEET, cluster_name, fleet, simulated_names


def paths(*names: str) -> dict[str, Path]:
    return {name: Path(name) for name in names}


def test_without_a_kubeconfig_all_five_are_simulated() -> None:
    names = simulated_names(0)
    clusters = fleet({}, paths(*names))
    assert [(each.name, each.labels) for each in clusters] == list(FLEET)


def test_existing_clusters_come_first_and_are_filled_up_to_five() -> None:
    names = simulated_names(2)
    clusters = fleet(paths("kind-a", "kind-b"), paths(*names))
    assert [each.name for each in clusters] == ["kind-a", "kind-b", "eu-2", "us-1", "us-2"]
    assert clusters[0].labels["ring"] == "canary"
    assert {each.labels["ring"] for each in clusters[1:]} == {"broad"}


def test_more_than_five_existing_clusters_are_all_used() -> None:
    seven = [f"c{number}" for number in range(7)]
    clusters = fleet(paths(*seven), paths(*simulated_names(7)))
    assert [each.name for each in clusters] == seven


@pytest.mark.parametrize(
    ("context", "name"),
    [
        ("kind-kind", "kind-kind"),
        ("arn:aws:eks:eu-1:42:cluster/Prod_1", "arn-aws-eks-eu-1-42-cluster-prod-1"),
        ("admin@home", "admin-home-2"),
        ("///", "cluster"),
        ("x" * 60, "x" * 40),
    ],
)
def test_a_contexts_name_becomes_a_clusters_name(context: str, name: str) -> None:
    assert cluster_name(context, taken={"admin-home"}) == name
