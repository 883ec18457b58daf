"""The app inside Microsoft's own worker library: indexed and invoked as in Azure.

Runs on Python 3.13 with the deployment's packages only, against real PostgreSQL and Redis.
"""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import azure_functions_runtime as worker
import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from dev.state import REPOSITORY
from functions import runtime
from functions.access import RULES
from shared.contract.registration import BootstrapTokenRequest
from shared.identity import devca
from shared.services import bootstrap_tokens
from shared.services.caller import Caller
from tests.worker.protocol import Message, http_data, invocation, request

TIMERS = (
    "rollout_pacer",
    "heartbeat_flush",
    "connectivity_sweep",
    "drift_sweep",
    "certificate_sweep",
    "retention",
)
DIRECTORY_ID = "11111111-1111-4111-8111-111111111111"


class App:
    """The indexed app; invokes its functions as the host does."""

    def __init__(self, functions: list[Any]) -> None:
        self.functions = {each.name: each for each in functions}

    async def invoke(self, name: str, data: Message) -> Any:
        function = self.functions[name]
        parameter = "timer" if data.WhichOneof("data") == "json" else "req"
        answer = await worker.invocation_request(invocation(function.function_id, parameter, data))
        exception = getattr(answer.result, "exception", None)
        assert exception is None, exception.message
        return answer

    async def http(
        self,
        name: str,
        method: str = "GET",
        path: str = "",
        *,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
    ) -> tuple[int, dict[str, str], bytes]:
        data = http_data(
            method, f"https://app.test/api/{path}", headers=headers or {}, params={}, body=body
        )
        http = (await self.invoke(name, data)).return_value.http
        return int(http.status_code), http.headers, http.body.bytes


@pytest.fixture
async def app(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    owner_postgres_url: str,
    postgres_url: str,
    redis_url: str,
) -> AsyncIterator[App]:
    with psycopg.connect(owner_postgres_url, connect_timeout=10) as connection:
        connection.execute("insert into tenants (tenant_id) values ('demo')")
    devca.make(tmp_path / "ca")
    for name, value in {
        "POSTGRES_URL": postgres_url,
        "REDIS_URL": redis_url,
        "CONTROL_PLANE_URL": "https://app.test",
        "RELAY_ADDRESS": "relay.test:8443",
        "OIDC_ISSUER": "https://login.test/{tid}/v2.0",
        "OIDC_AUDIENCE": "api://arcbridge",
        "OIDC_TENANTS": json.dumps({DIRECTORY_ID: "demo"}),
        "CA_DIR": str(tmp_path / "ca"),
    }.items():
        monkeypatch.setenv(f"ARCBRIDGE_{name}", value)
    # A worker indexes its app once, so each test imports it anew.
    monkeypatch.delitem(sys.modules, "function_app", raising=False)
    started = await worker.worker_init_request(
        request(
            worker_init_request=Message(capabilities={}, function_app_directory=str(REPOSITORY))
        )
    )
    assert started.result.status == 1, started.result.exception.message
    answer = await worker.functions_metadata_request(request())
    yield App(answer.function_metadata_results)
    await runtime.close()


async def test_every_function_is_indexed(app: App) -> None:
    timers = {name for name in app.functions if name not in RULES}
    assert set(RULES) <= set(app.functions)
    assert timers == set(TIMERS)


async def test_nothing_of_grpc_is_loaded_beside_the_workers_own(app: App) -> None:
    await app.http("openapi", path="openapi.json")
    await app.http("events_list", path="v1/events")
    ours = [name for name in sys.modules if name.split(".")[0] == "grpc"]
    assert ours == []
    assert "shared.rpc" not in sys.modules


async def test_the_probes_answer(app: App) -> None:
    status, _, body = await app.http("health_live", path="health/live")
    assert (status, json.loads(body)) == (200, {"live": True})
    status, _, body = await app.http("health_ready", path="health/ready")
    assert (status, json.loads(body)) == (200, {"ready": True, "postgres": True, "redis": True})


async def test_the_document_is_served(app: App) -> None:
    status, headers, body = await app.http("openapi", path="openapi.json")
    assert status == 200
    assert headers["content-type" if "content-type" in headers else "Content-Type"].startswith(
        "application/json"
    )
    assert json.loads(body)["openapi"] == "3.1.0"


async def test_a_call_without_a_credential_is_a_problem(app: App) -> None:
    status, headers, body = await app.http("clusters_list", path="v1/clusters")
    assert status == 401
    assert headers["Content-Type"] == "application/problem+json"
    assert json.loads(body)["code"] == "Unauthenticated"


async def test_a_cluster_registers_through_the_worker(app: App) -> None:
    plane = await runtime.control_plane()
    admin = Caller(actor="person:1", tenant="demo")
    token = (await bootstrap_tokens.create(plane, admin, BootstrapTokenRequest())).token
    key = ec.generate_private_key(ec.SECP256R1())
    signed = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    csr = signed.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    body = {"token": token, "csr": csr.decode(), "clusterName": "eu-1"}
    headers = {"content-type": "application/json"}
    content = json.dumps(body).encode()
    status, _, answer = await app.http(
        "register", "POST", "v1/register", headers=headers, body=content
    )
    assert status == 200, answer
    assert json.loads(answer)["tenant"] == "demo"
    wrong = json.dumps({**body, "token": token[:-1] + "!"}).encode()
    status, _, answer = await app.http(
        "register", "POST", "v1/register", headers=headers, body=wrong
    )
    assert status == 403
    assert json.loads(answer)["code"] == "RegistrationRefused"


@pytest.mark.parametrize("timer", TIMERS)
async def test_a_timer_runs(app: App, timer: str) -> None:
    past_due = Message(json=json.dumps({"IsPastDue": True, "Schedule": {}, "ScheduleStatus": {}}))
    await app.invoke(timer, past_due)
    status, _, text = await app.http("metrics", path="metrics")
    assert status == 200
    assert f'arcbridge_timer_runs_total{{outcome="succeeded",timer="{timer}"}}' in text.decode()
