"""The Helm chart installs what the one manifest installs: the same rights, the same pod."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from dev.state import state_directory
from shared.manifests.install import AgentInstall
from shared.manifests.render import cluster, crd, objects

CHART = Path(__file__).parents[3] / "agent" / "chart"
PIN = f"sha256:{'0' * 64}"
VALUES = {
    "controlPlaneUrl": "https://arcbridge.example.org",
    "caPin": PIN,
    "clusterName": "eu-1",
    "tenant": "demo",
    "token": "abt_demo.1.2",
}
Key = tuple[str, str, str]


def helm(
    directory: Path, *arguments: str, values: dict[str, Any]
) -> subprocess.CompletedProcess[str]:
    file = directory / "values.yaml"
    file.write_text(yaml.safe_dump(values))
    binary = state_directory() / "bin" / "helm"
    found = str(binary) if binary.exists() else shutil.which("helm")
    assert found, "make setup installs helm"
    return subprocess.run(
        [found, *arguments, "--values", str(file)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"HOME": str(directory), "PATH": ""},
    )


def rendered(directory: Path, **changes: Any) -> dict[Key, dict[str, Any]]:
    done = helm(
        directory, "template", "agent", str(CHART), "--namespace", "arcbridge-system",
        values=VALUES | changes,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return by_key([item for item in yaml.safe_load_all(done.stdout) if item])


def by_key(found: list[dict[str, Any]]) -> dict[Key, dict[str, Any]]:
    return {
        (o["kind"], o["metadata"].get("namespace", ""), o["metadata"]["name"]): o for o in found
    }


def install(**changes: Any) -> AgentInstall:
    return AgentInstall(
        cluster_name="eu-1",
        tenant="demo",
        control_plane_url="https://arcbridge.example.org",
        ca_pin=PIN,
        token="abt_demo.1.2",
        image="arcbridge/agent:0.1.0",
        **changes,
    )


def test_the_chart_is_clean(tmp_path: Path) -> None:
    done = helm(tmp_path, "lint", "--strict", str(CHART), values=VALUES)
    assert done.returncode == 0, done.stdout


def test_the_chart_brings_the_same_definition() -> None:
    shipped = yaml.safe_load((CHART / "crds" / "arcbridgeclusters.yaml").read_text())
    assert shipped == crd()


@pytest.mark.parametrize("allowed", [None, ("shop", "web")])
def test_the_rights_are_those_of_the_manifest(
    tmp_path: Path, allowed: tuple[str, ...] | None
) -> None:
    ours = by_key(objects(install(allowed_namespaces=allowed)))
    charts = rendered(tmp_path, allowedNamespaces=list(allowed) if allowed else None)
    kinds = ("ServiceAccount", "ClusterRole", "Role", "ClusterRoleBinding", "RoleBinding")
    for key in {k for k in (*ours, *charts) if k[0] in kinds}:
        assert charts[key] == ours[key], key


def test_the_network_policy_is_that_of_the_manifest(tmp_path: Path) -> None:
    key = ("NetworkPolicy", "arcbridge-system", "arcbridge-agent")
    assert rendered(tmp_path)[key] == by_key(objects(install()))[key]


def test_a_proxy_s_port_is_let_through(tmp_path: Path) -> None:
    key = ("NetworkPolicy", "arcbridge-system", "arcbridge-agent")
    policy = rendered(tmp_path, proxy={"https": "http://u:p@proxy.corp:3128", "noProxy": ""})[key]
    ports = [each["port"] for each in policy["spec"]["egress"][1]["ports"]]
    assert 3128 in ports


def test_the_pod_is_that_of_the_manifest_with_its_settings_added(tmp_path: Path) -> None:
    key = ("Deployment", "arcbridge-system", "arcbridge-agent")
    ours = by_key(objects(install()))[key]["spec"]["template"]["spec"]
    charts = rendered(tmp_path)[key]["spec"]["template"]["spec"]
    [mine], [its] = ours.pop("containers"), charts.pop("containers")
    assert charts == ours
    settings = ("GIT_LIMIT_MIB", "LEASE_SECONDS", "LOG_LEVEL")
    added = {f"ARCBRIDGE_AGENT_{name}" for name in settings}
    assert [e for e in its.pop("env") if e["name"] not in added] == mine.pop("env")
    assert its.pop("imagePullPolicy") == "IfNotPresent"
    assert its == mine


def test_the_volume_of_the_state_has_room_for_two_git_fetches_of_the_limit(tmp_path: Path) -> None:
    key = ("Deployment", "arcbridge-system", "arcbridge-agent")
    pod = rendered(tmp_path, sources={"gitLimitMiB": 2048})[key]["spec"]["template"]["spec"]
    assert {"name": "state", "emptyDir": {"sizeLimit": "5120Mi"}} in pod["volumes"]
    limit = {"name": "ARCBRIDGE_AGENT_GIT_LIMIT_MIB", "value": "2048"}
    assert limit in pod["containers"][0]["env"]


def test_the_cluster_is_that_of_the_manifest(tmp_path: Path) -> None:
    found = rendered(tmp_path, labels={"env": "prod"}, allowedNamespaces=["shop"])
    asked = install(labels={"env": "prod"}, allowed_namespaces=("shop",))
    assert found[("ArcBridgeCluster", "", "eu-1")] == cluster(asked)


def test_a_digest_names_the_image(tmp_path: Path) -> None:
    found = rendered(tmp_path, image={"repository": "r/agent", "digest": f"sha256:{'b' * 64}"})
    pod = found[("Deployment", "arcbridge-system", "arcbridge-agent")]["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == f"r/agent@sha256:{'b' * 64}"


@pytest.mark.parametrize(
    "wrong",
    [
        {"caPin": "nonsense"},
        {"controlPlaneUrl": "ftp://x"},
        {"clusterName": "Not A Name"},
        {"replicas": 0},
        {"replica": 2},
        {"sources": {"gitLimitMiB": 16}},
    ],
)
def test_wrong_values_are_refused_by_the_schema(tmp_path: Path, wrong: dict[str, Any]) -> None:
    done = helm(tmp_path, "template", "agent", str(CHART), values=VALUES | wrong)
    assert done.returncode != 0
    assert "schema" in done.stderr
