"""What the OpenAPI document says and what the server does, checked against each other.

Schemathesis makes requests out of the document, valid and invalid ones, with a fixed seed and the
credentials of each kind of caller. Nothing may answer 5xx, nor anything the document does not say.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from dev.state import REPOSITORY
from tests.contract.credentials import AGENT, TOKEN
from tests.joined_cluster import JoinedCluster, join
from tests.running import RunningControlPlane

SEED = 20_260_101
EXAMPLES = 4
RUN_SECONDS = 240
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
)
AGENTS = "desired_get|status_report|register"


@pytest.fixture(scope="module")
def http(running: RunningControlPlane) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=running.url, timeout=30, trust_env=False) as client:
        yield client


@pytest.fixture(scope="module")
def cluster(http: httpx.Client, running: RunningControlPlane) -> JoinedCluster:
    """A cluster with an extension on its way to it, so that reads find something."""
    joined = join(http, running.bearer("admin@demo"), "eu-1", env="prod")
    manifest = {
        "kind": "Extension",
        "metadata": {"name": "web"},
        "spec": {
            "placement": {"matchLabels": {"env": "prod"}},
            "namespace": "web",
            "source": {"kustomize": {"files": {"kustomization.yaml": "resources: []\n"}}},
        },
    }
    operator = running.bearer("operator@demo")
    http.post("/api/v1/desired", headers=operator, json=manifest).raise_for_status()
    return joined


def explore(running: RunningControlPlane, phases: str, *options: str, **credential: str) -> None:
    """Run Schemathesis; its words are shown when it finds something.

    One worker: Hypothesis is not made for several threads, and a seed then says it all.
    """
    print(f"seed {SEED}")  # noqa: T201 - shown when it fails
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{running.url}/api/openapi.json"),
        *("--seed", str(SEED), "--max-examples", str(EXAMPLES), "--phases", phases),
        *("--checks", ",".join(CHECKS), "--continue-on-failure", "--no-color"),
        *("--workers", "1", "--request-timeout", "30", *options),
    ]
    environ = {
        **os.environ,
        "SCHEMATHESIS_HOOKS": "tests.contract.credentials",
        "PYTHONPATH": str(REPOSITORY),
        **credential,
    }
    result = subprocess.run(
        command,
        cwd=running.ca_dir,  # it keeps a cache where it runs
        env=environ,
        timeout=RUN_SECONDS,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, f"{result.stdout[-12000:]}{result.stderr[-4000:]}"


@pytest.mark.parametrize("person", ["reader", "operator", "admin"])
def test_the_server_does_what_the_document_says_to_a(
    person: str, running: RunningControlPlane, cluster: JoinedCluster
) -> None:
    token = running.tokens[f"{person}@demo"]
    explore(running, "fuzzing", f"--exclude-operation-id-regex=^({AGENTS})$", **{TOKEN: token})


# Each constraint of the document, met once and broken once, for the one who may do most: what the
# others may not do is answered 403 before any of that is looked at. Publishing is left to the
# fuzzing above: its schema alone has more constraints than all others together. So is reading: the
# lists share the constraints of one page, and meeting them thirty times takes minutes.
@pytest.mark.timeout(RUN_SECONDS + 30)
def test_every_constraint_of_the_document_is_the_servers_own(
    running: RunningControlPlane, cluster: JoinedCluster
) -> None:
    token = running.tokens["admin@demo"]
    left_out = f"--exclude-operation-id-regex=^({AGENTS}|desired_publish|tenants_.*)$"
    explore(running, "coverage", left_out, "--exclude-method=GET", **{TOKEN: token})


def test_the_server_does_what_the_document_says_to_an_agent(
    running: RunningControlPlane, cluster: JoinedCluster
) -> None:
    credential: dict[str, Any] = dataclasses.asdict(cluster)
    agents_only = f"--include-operation-id-regex=^({AGENTS})$"
    explore(running, "fuzzing", agents_only, **{AGENT: json.dumps(credential)})


def test_the_server_does_what_the_document_says_to_a_platform_admin(
    running: RunningControlPlane, cluster: JoinedCluster
) -> None:
    token = running.tokens["platform@demo"]
    # Last, and not below: it may suspend the tenant that everything above lives in.
    tenants = ("--include-operation-id-regex=^tenants_", "--exclude-method=GET")
    explore(running, "coverage", *tenants, **{TOKEN: token})
