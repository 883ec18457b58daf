"""What the process's environment is made to be, before anything is opened."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from agent.network import RootsUnusable, prepare
from agent.settings import AgentProcessSettings
from shared.identity import devca


def settings(directory: Path, **changes: object) -> AgentProcessSettings:
    tools = {"helm": Path("helm"), "kubectl": Path("kubectl"), "instance": "a"}
    return AgentProcessSettings(state_dir=directory, **{**tools, **changes})  # type: ignore[arg-type] # a test's values


def test_additional_roots_are_trusted_beside_the_system_s(tmp_path: Path) -> None:
    devca.make(tmp_path / "ca")
    extra = tmp_path / "ca" / "roots.pem"
    environ: dict[str, str] = {}
    prepare(settings(tmp_path, ca_file=extra, kubeconfig=tmp_path), environ)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cafile=environ["SSL_CERT_FILE"])
    names = [dict(pair[0] for pair in each["subject"]) for each in context.get_ca_certs()]
    assert any("ArcBridge" in str(name) for name in names)
    assert len(names) > 1, "the system's own are there too"


@pytest.mark.parametrize("content", [None, "", "-----BEGIN CERTIFICATE-----\nbm8=\n"])
def test_roots_that_cannot_be_used_stop_the_start(tmp_path: Path, content: str | None) -> None:
    extra = tmp_path / "ca.crt"
    if content is not None:
        extra.write_text(content)
    with pytest.raises(RootsUnusable, match="CA_FILE"):
        prepare(settings(tmp_path, ca_file=extra), {})


def test_only_in_a_pod_and_with_a_proxy_the_cluster_s_own_names_are_excepted(
    tmp_path: Path,
) -> None:
    pod = {"KUBERNETES_SERVICE_HOST": "10.96.0.1"}
    without = dict(pod)
    prepare(settings(tmp_path), without)
    assert without == pod
    behind = {**pod, "https_proxy": "http://p:1", "no_proxy": "corp.example"}
    prepare(settings(tmp_path), behind)
    assert behind["NO_PROXY"].split(",")[:2] == ["corp.example", "10.96.0.1"]
    assert "no_proxy" not in behind
    outside = {"HTTPS_PROXY": "http://p:1"}
    prepare(settings(tmp_path, kubeconfig=tmp_path / "config"), outside)
    assert outside == {"HTTPS_PROXY": "http://p:1"}
