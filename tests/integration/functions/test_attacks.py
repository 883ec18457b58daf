"""Attacks on the REST edge, played over HTTP: lesser roles, replays, races.

Route × role: every Function, asked by every kind of caller, lets in whom its rule names.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from functions.access import Who
from functions.edge.endpoint import Endpoint
from functions.registry import endpoints
from shared.contract.states import Role
from tests.joined_cluster import JoinedCluster, join
from tests.routes import NOWHERE, request_for
from tests.running import RunningControlPlane

DENIED = {401, 403}
PEOPLE = {
    "reader@demo": Role.READER,
    "responder@demo": Role.RESPONDER,
    "operator@demo": Role.OPERATOR,
    "admin@demo": Role.ADMIN,
    "platform@demo": Role.PLATFORM_ADMIN,
}


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


def ask(http: httpx.Client, endpoint: Endpoint, credential: dict[str, str]) -> int:
    """The status of a call that is right but for who makes it, about what does not exist."""
    request = request_for(endpoint, NOWHERE)
    headers = {**request.headers, **credential}
    # Nothing is made by it: what a POST would make is refused for its shape.
    content = b"{}" if request.content and not endpoint.path else request.content
    answer = http.request(request.method, request.path, headers=headers, content=content)
    return answer.status_code


@pytest.mark.parametrize("endpoint", endpoints(), ids=lambda each: each.name)
def test_it_lets_in_whom_its_rule_names_and_nobody_else(
    endpoint: Endpoint, http: httpx.Client, running: RunningControlPlane, cluster: JoinedCluster
) -> None:
    who = endpoint.rule.who
    open_to_all = who in (Who.ANYONE, Who.TOKEN_HOLDER)
    let_in = {
        person: ask(http, endpoint, running.bearer(person)) not in DENIED for person in PEOPLE
    }
    by_role = who in (Who.MEMBER, Who.PLATFORM)
    assert let_in == {
        person: open_to_all or (by_role and endpoint.rule.allows(frozenset({role})))
        for person, role in PEOPLE.items()
    }
    agent = ask(http, endpoint, cluster.bearer()) not in DENIED
    assert agent == (open_to_all or who is Who.AGENT)
    assert (ask(http, endpoint, {}) not in DENIED) == open_to_all


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


def test_a_flood_of_plans_and_simulations_is_slowed_down_and_publishing_is_not(
    http: httpx.Client, admin: dict[str, str]
) -> None:
    """The manifest is refused, but for a window: what is counted is the asking, not the answer."""
    chart = {"repo": "oci://charts.test/x", "chart": "flood", "version": "1.0.0"}
    spec = {"source": {"helm": chart}, "namespace": "flood", "rollout": {"windows": ["nowhere"]}}
    body = {"metadata": {"name": "flood"}, "spec": {"placement": {}, **spec}}

    def ask_for(**query: str) -> httpx.Response:
        return http.post("/api/v1/desired", headers=admin, params=query, json=body)

    for _ in range(120):
        answer = ask_for(dryRun="plan")
        if answer.status_code != 400:
            break
    assert answer.status_code == 429
    assert "foresee takes 30 a minute" in answer.json()["detail"]
    assert int(answer.headers["Retry-After"]) >= 1
    simulated = [ask_for(dryRun="simulate").status_code for _ in range(3)]
    assert 429 in simulated, "plans and simulations take from the same"
    assert ask_for().status_code == 400, "publishing has a rate of its own"


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
