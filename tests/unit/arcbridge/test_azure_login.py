"""Tokens from azure-identity: the real library, an `az` of ours on the path, a local endpoint."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from arcbridge.cli import config
from arcbridge.cli.config import AzureWith, Config, Context
from arcbridge.cli.exits import CommandError, Exit
from arcbridge.cli.login.credential import azure_tokens

SCOPE = "api://arcbridge/.default"
VARIABLES = (
    "AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_CLIENT_SECRET", "AZURE_FEDERATED_TOKEN_FILE",
    "IDENTITY_ENDPOINT", "IDENTITY_HEADER", "MSI_ENDPOINT",
)  # fmt: skip


@pytest.fixture(autouse=True)
def no_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def context(azure_with: AzureWith) -> Context:
    return Context(server="https://a.example", azure=True, azure_with=azure_with, scope=SCOPE)


def test_the_azure_clis_login_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = {"accessToken": "from-az", "expires_on": int(time.time()) + 3600}
    az = tmp_path / "az"
    az.write_text(f"#!/bin/sh\necho '{json.dumps(answer)}'\n")
    az.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert azure_tokens(context(AzureWith.CLI)).access_token == "from-az"


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The endpoint that App Service and Container Apps give their programs; what it was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            asked.append(f"{self.headers['X-IDENTITY-HEADER']} {query['resource'][0]}")
            body = json.dumps(
                {"access_token": "from-machine", "expires_on": str(int(time.time()) + 3600),
                 "resource": query["resource"][0], "token_type": "Bearer"}
            ).encode()  # fmt: skip
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Not in the test's output."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{server.server_port}/token")
        monkeypatch.setenv("IDENTITY_HEADER", "told-to-nobody-else")
        yield asked
        server.shutdown()
        thread.join(10)


def test_the_machines_identity_is_used(endpoint: list[str]) -> None:
    found = azure_tokens(context(AzureWith.MANAGED_IDENTITY))
    assert found.access_token == "from-machine"
    assert found.expires_at > time.time()
    assert endpoint == ["told-to-nobody-else api://arcbridge"]


@pytest.mark.parametrize(
    ("azure_with", "remedy"),
    [
        (AzureWith.ENVIRONMENT, "AZURE_CLIENT_SECRET"),
        (AzureWith.WORKLOAD_IDENTITY, "AZURE_FEDERATED_TOKEN_FILE"),
    ],
)
def test_what_is_not_set_up_is_told_with_its_remedy(azure_with: AzureWith, remedy: str) -> None:
    with pytest.raises(CommandError) as caught:
        azure_tokens(context(azure_with))
    assert caught.value.status is Exit.DENIED
    assert remedy in (caught.value.remedy or "")


def test_the_choice_is_remembered(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    config.save(Config(path).put(context(AzureWith.CLI)))
    assert config.load(path).contexts["default"].azure_with is AzureWith.CLI
    assert "azureWith: cli" in path.read_text()
