"""A witness tells from watch events what a cluster ran, and when all of it was ready."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dev.demo.witness import Sighting, Witness, sighting, split
from dev.stack.clusters import Cluster


def event(kind: str = "MODIFIED", *, tag: str = "3.8", **status: int) -> dict[str, Any]:
    full = {"observedGeneration": 2, "updatedReplicas": 2, "replicas": 2, "availableReplicas": 2}
    return {
        "type": kind,
        "object": {
            "metadata": {"name": "web", "generation": 2},
            "spec": {
                "replicas": 2,
                "template": {"spec": {"containers": [{"image": f"example.org/web:{tag}"}]}},
            },
            "status": full | status,
        },
    }


def test_a_deployment_is_ready_when_every_replica_is_updated_and_available() -> None:
    assert sighting(event(), 1.0) == Sighting(1.0, "example.org/web:3.8", ready=True)


@pytest.mark.parametrize(
    "status",
    [
        {"observedGeneration": 1},
        {"updatedReplicas": 1},
        {"replicas": 3},
        {"availableReplicas": 1},
    ],
)
def test_a_deployment_on_its_way_is_not_ready(status: dict[str, int]) -> None:
    assert not sighting(event(**status), 1.0).ready


def test_a_deleted_deployment_runs_nothing() -> None:
    assert sighting(event("DELETED"), 1.0) == Sighting(1.0, "", ready=False)


def test_a_witness_remembers_when_a_version_came_and_when_it_was_ready() -> None:
    witness = Witness(Cluster("eu-1", {}, Path("k")), "ns", "web")
    witness.sightings = [
        sighting(event(tag="3.8"), 1.0),
        sighting(event(tag="3.9", availableReplicas=0), 2.0),
        sighting(event(tag="3.9"), 3.0),
    ]
    assert (witness.first("3.9"), witness.first_ready("3.9")) == (2.0, 3.0)
    assert not witness.saw("broken")
    assert witness.now == witness.sightings[-1]


def test_documents_are_read_from_a_stream_that_is_cut_anywhere() -> None:
    stream = "\n".join(json.dumps({"number": number}, indent=1) for number in range(3))
    for cut in range(len(stream)):
        first, rest = split(stream[:cut])
        second, rest = split(rest + stream[cut:])
        assert [each["number"] for each in first + second] == [0, 1, 2]
        assert not rest.strip()
