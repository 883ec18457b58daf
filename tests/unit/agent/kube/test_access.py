"""Kubeconfigs and service accounts: what is read from them, and what is refused clearly."""

from __future__ import annotations

import base64
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.errors import KubeUnreachable
from agent.kube.access import in_cluster
from agent.kube.credentials import REREAD_SECONDS, Plugin, TokenFile
from agent.kube.kubeconfig import read_kubeconfig
from shared.identity import devca

Write = Callable[..., Path]


@pytest.fixture
def ca(tmp_path: Path) -> str:
    devca.make(tmp_path / "ca")
    return (tmp_path / "ca" / "roots.pem").read_text()


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a kubeconfig with one context of this user and cluster."""

    def kubeconfig(user: dict[str, Any], **cluster: Any) -> Path:
        path = tmp_path / "config"
        content = {
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
            "clusters": [{"name": "k", "cluster": {"server": "https://k.example:6443", **cluster}}],
            "users": [{"name": "u", "user": user}],
        }
        path.write_text(yaml.safe_dump(content))
        return path

    return kubeconfig


async def header(path: Path) -> str | None:
    return (await read_kubeconfig(path, {}).headers()).get("Authorization")


async def test_tokens_and_passwords_become_headers(write: Write, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-file\n")
    assert await header(write({"token": "abc"})) == "Bearer abc"
    assert await header(write({"tokenFile": "token"})) == "Bearer from-file"
    assert await header(write({"username": "u", "password": "p"})) == "Basic dTpw"
    assert await header(write({})) is None


async def test_a_plugins_token_is_asked_for_again_before_it_ends(
    write: Write, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    until = (now + timedelta(minutes=10)).isoformat().replace("+00:00", "Z")
    script = tmp_path / "plugin.py"
    script.write_text(
        "import json, os, pathlib, sys\n"
        "seen = pathlib.Path(sys.argv[1]); count = len(seen.read_text()) if seen.exists() else 0\n"
        "seen.write_text('x' * (count + 1))\n"
        "info = json.loads(os.environ['KUBERNETES_EXEC_INFO'])\n"
        "token = os.environ['PREFIX'] + str(count)\n"
        "status = {'token': token, 'expirationTimestamp': sys.argv[2]}\n"
        "print(json.dumps({'apiVersion': info['apiVersion'], 'status': status}))\n"
    )
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": sys.executable,
        "args": [str(script), str(tmp_path / "count"), until],
        "env": [{"name": "PREFIX", "value": "t"}],
    }
    access = read_kubeconfig(write({"exec": plugin}), {})
    assert await access.headers() == await access.headers() == {"Authorization": "Bearer t0"}
    assert isinstance(access.credential, Plugin)
    access.credential.now = lambda: now + timedelta(minutes=9, seconds=45)
    assert await access.headers() == {"Authorization": "Bearer t1"}


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("import sys; sys.exit('not logged in')", "not logged in"),
        ("print('{}')", "printed no token"),
    ],
)
async def test_a_plugin_that_fails_is_told_with_its_words(
    write: Write, script: str, said: str
) -> None:
    plugin = {"apiVersion": "v1", "command": sys.executable, "args": ["-c", script]}
    with pytest.raises(KubeUnreachable, match=said):
        await header(write({"exec": plugin}))


def test_roots_names_and_proxies_of_the_cluster_are_read(write: Write, ca: str) -> None:
    data = base64.b64encode(ca.encode()).decode()
    path = write({}, **{"certificate-authority-data": data, "tls-server-name": "inner"})
    access = read_kubeconfig(path, {"HTTPS_PROXY": "http://p:1"})
    assert access.tls is not None
    assert access.tls.get_ca_certs()
    assert (access.server_name, access.proxy) == ("inner", "http://p:1")
    assert read_kubeconfig(path, {"HTTPS_PROXY": "p:1", "NO_PROXY": "k.example"}).proxy is None
    assert read_kubeconfig(write({}, **{"proxy-url": "http://own:2"}), {}).proxy == "http://own:2"


def test_what_cannot_be_used_is_refused_with_the_reason(write: Write, tmp_path: Path) -> None:
    for text, said in (
        ("[]", "not a kubeconfig"),
        ("current-context: gone", "no context named 'gone'"),
        ("{}", "no current-context"),
        ("a: [", "no usable cluster access"),
    ):
        path = tmp_path / "bad"
        path.write_text(text)
        with pytest.raises(KubeUnreachable, match=said):
            read_kubeconfig(path, {})
    with pytest.raises(KubeUnreachable, match="auth-provider is not supported"):
        read_kubeconfig(write({"auth-provider": {"name": "oidc"}}), {})
    with pytest.raises(KubeUnreachable, match="No such file"):
        read_kubeconfig(tmp_path / "none", {})


async def test_a_pods_token_is_read_again_because_the_kubelet_renews_it(
    tmp_path: Path, ca: str
) -> None:
    (tmp_path / "ca.crt").write_text(ca)
    (tmp_path / "token").write_text("first")
    environ = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"}
    access = in_cluster({**environ, "HTTPS_PROXY": "http://p:1"}, tmp_path)
    assert (access.host, access.proxy) == ("https://[fd00::1]:443", None)
    credential = access.credential
    assert isinstance(credential, TokenFile)
    now = 0.0
    credential.monotonic = lambda: now
    assert await credential.authorization() == "Bearer first"
    (tmp_path / "token").write_text("second")
    assert await credential.authorization() == "Bearer first"
    now = REREAD_SECONDS
    assert await credential.authorization() == "Bearer second"


def test_outside_a_pod_without_a_kubeconfig_there_is_no_access(tmp_path: Path) -> None:
    with pytest.raises(KubeUnreachable, match="not in a pod"):
        in_cluster({}, tmp_path)
