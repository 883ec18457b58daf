"""Attacks on the REST edge, played over HTTP: other tenants, lesser roles, replays, races."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from functions.access import Who
from functions.edge.endpoint import Endpoint, IfMatch
from functions.registry import endpoints
from shared.contract.states import Role
from tests.joined_cluster import JoinedCluster, join
from tests.running import RunningControlPlane

MEMBERS = [each for each in endpoints() if each.rule.who is Who.MEMBER]
BODIES: dict[str, Any] = {
    "drift_accept": {"reason": "r", "expiresAt": "2999-01-01T00:00:00Z"},
    "clusters_patch": {"labels": {"a": "b"}},
    "rollouts_override_freeze": {"reason": "r", "expiresAt": "2999-01-01T00:00:00Z"},
}
MAKES_ITS_OWN = {"freezes_put"}
"""Create or replace: of a name that another tenant uses too, each tenant has its own."""


@pytest.fixture(scope="module")
def http(running: RunningControlPlane) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=running.url, timeout=60, trust_env=False) as client:
        yield client


@pytest.fixture(scope="module")
def admin(running: RunningControlPlane) -> dict[str, str]:
    return running.bearer("admin@demo")


@pytest.fixture(scope="module")
def cluster(http: httpx.Client, admin: dict[str, str]) -> JoinedCluster:
    return join(http, admin, "eu-1", env="prod")


@pytest.fixture(scope="module")
def known(http: httpx.Client, admin: dict[str, str], cluster: JoinedCluster) -> dict[str, str]:
    """Things of tenant `demo`, by the placeholder that names them."""
    manifest = {
        "metadata": {"name": "eu-1"},  # the cluster's name, so that {name} is both
        "spec": {
            "placement": {"matchLabels": {"env": "prod"}},
            "namespace": "web",
            "source": {"kustomize": {"files": {"kustomization.yaml": "resources: []\n"}}},
        },
    }
    published = http.post("/api/v1/desired", headers=admin, json=manifest)
    published.raise_for_status()
    token = http.post("/api/v1/bootstrap-tokens", headers=admin, json={})
    return {
        "name": "eu-1",
        "number": "1",
        "rollout_id": published.json()["rolloutId"],
        "token_id": token.json()["id"],
        "drift_id": str(uuid.uuid4()),
    }


def call(
    http: httpx.Client, endpoint: Endpoint, headers: dict[str, str], known: dict[str, str]
) -> httpx.Response:
    """A request that would be right but for who makes it."""
    path = re.sub(r"\{(\w+)\}", lambda match: known[match[1]], endpoint.route)
    if endpoint.if_match is IfMatch.REQUIRED:
        headers = {**headers, "If-Match": "*"}
    body = BODIES.get(endpoint.name)
    if body is not None:
        headers = {**headers, "Content-Type": endpoint.accepts[0]}
    content = None if body is None else json.dumps(body)
    return http.request(endpoint.method, f"/api/{path}", headers=headers, content=content)


@pytest.mark.parametrize(
    "endpoint",
    [each for each in MEMBERS if each.path and each.name not in MAKES_ITS_OWN],
    ids=lambda each: each.name,
)
def test_another_tenants_things_are_not_there(
    endpoint: Endpoint, http: httpx.Client, running: RunningControlPlane, known: dict[str, str]
) -> None:
    answer = call(http, endpoint, running.bearer("admin@other"), known)
    assert answer.status_code == 404, answer.text


@pytest.mark.parametrize("endpoint", MEMBERS, ids=lambda each: each.name)
def test_a_role_that_is_not_in_the_table_is_refused_on_every_route(
    endpoint: Endpoint, http: httpx.Client, running: RunningControlPlane, known: dict[str, str]
) -> None:
    for role in (Role.READER, Role.RESPONDER, Role.OPERATOR):
        if not endpoint.rule.allows(frozenset({role})):
            answer = call(http, endpoint, running.bearer(f"{role.value}@demo"), known)
            assert answer.status_code == 403, answer.text
    assert call(http, endpoint, {}, known).status_code == 401


@pytest.mark.parametrize("endpoint", MEMBERS, ids=lambda each: each.name)
def test_an_agent_is_no_member(
    endpoint: Endpoint, http: httpx.Client, cluster: JoinedCluster, known: dict[str, str]
) -> None:
    assert call(http, endpoint, cluster.bearer(), known).status_code == 401


def test_a_member_is_no_agent(http: httpx.Client, admin: dict[str, str]) -> None:
    assert http.get("/api/v1/desired", headers=admin).status_code == 401


def test_an_agent_reads_its_document_and_then_hears_that_nothing_changed(
    http: httpx.Client, cluster: JoinedCluster
) -> None:
    first = http.get("/api/v1/desired", headers=cluster.bearer())
    assert first.status_code == 200
    assert first.json()["clusterId"] == cluster.cluster_id
    headers = {**cluster.bearer(), "If-None-Match": first.headers["ETag"]}
    again = http.get("/api/v1/desired", headers=headers)
    assert (again.status_code, again.content) == (304, b"")


def test_a_replayed_assertion_is_refused(http: httpx.Client, cluster: JoinedCluster) -> None:
    headers = cluster.bearer()
    batch = {"sessionEpoch": 0, "events": []}
    assert http.post("/api/v1/status", headers=headers, json=batch).status_code == 200
    assert http.post("/api/v1/status", headers=headers, json=batch).status_code == 401


def test_a_token_registers_one_key_however_many_try_at_once(
    http: httpx.Client, admin: dict[str, str]
) -> None:
    made = http.post("/api/v1/bootstrap-tokens", headers=admin, json={"clusterName": "raced"})
    token = made.json()["token"]

    def register(_: int) -> httpx.Response:
        key = ec.generate_private_key(ec.SECP256R1())
        request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
        csr = request.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        body = {"token": token, "csr": csr.decode(), "clusterName": "raced"}
        return http.post("/api/v1/register", json=body)

    with ThreadPoolExecutor(10) as pool:
        statuses = [answer.status_code for answer in pool.map(register, range(10))]
    assert statuses.count(200) == 1
    assert set(statuses) <= {200, 403, 429}


def test_a_flood_of_registrations_is_slowed_down_and_told_for_how_long(
    http: httpx.Client,
) -> None:
    body = {"token": "abt_demo.00000000000000000000000000000000.x", "csr": "x", "clusterName": "a"}
    answers = [http.post("/api/v1/register", json=body) for _ in range(15)]
    limited = [answer for answer in answers if answer.status_code == 429]
    assert limited
    assert int(limited[-1].headers["Retry-After"]) >= 1
    assert limited[-1].json()["code"] == "RateLimited"


@pytest.mark.parametrize(
    "text", ["'; drop table clusters; --", "%' or '1'='1", "a\x1b[31m", "x" * 128, "\\", "%_"]
)
def test_a_filter_is_a_value_and_never_a_statement(
    text: str, http: httpx.Client, admin: dict[str, str], cluster: JoinedCluster
) -> None:
    answer = http.get("/api/v1/clusters", headers=admin, params={"text": text})
    assert answer.status_code == 200
    assert answer.json()["items"] == []
    answer = http.get("/api/v1/events", headers=admin, params={"subject": text})
    assert answer.status_code in (200, 400)
