"""Both charts: clean, refused when wrong, taken by an API server; ours installed and removed."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dev.state import REPOSITORY, state_directory
from relay.metrics import RelayMetrics
from relay.settings import RelaySettings
from shared.settings import Settings
from shared.telemetry.metrics import Registry
from tests.infra.test_bicep_and_code import TUNED_IN_CODE, settings_of
from tests.integration.kube.conftest import simulator

CHART = REPOSITORY / "infra" / "charts" / "arcbridge"
AGENT_CHART = REPOSITORY / "agent" / "chart"
VALUES: dict[str, Any] = {
    "controlPlaneUrl": "https://arcbridge.example.org",
    "relayHost": "relay.example.org",
    "trustDomain": "arcbridge.example.org",
    "oidc": {
        "audience": "api://arcbridge",
        "tenants": {"11111111-1111-4111-8111-111111111111": "main"},
    },
    "controlPlane": {"ingress": {"enabled": True, "tlsSecret": "tls"}},
}
KEDA: dict[str, Any] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "scaledobjects.keda.sh"},
    "spec": {
        "group": "keda.sh",
        "scope": "Namespaced",
        "names": {"kind": "ScaledObject", "plural": "scaledobjects", "singular": "scaledobject"},
        "versions": [
            {
                "name": "v1alpha1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "required": ["scaleTargetRef", "triggers"],
                                "x-kubernetes-preserve-unknown-fields": True,
                            }
                        },
                    }
                },
            }
        ],
    },
}
"""As KEDA's own, as far as it is used here."""
AGENT_VALUES = {
    "controlPlaneUrl": "https://arcbridge.example.org",
    "caPin": f"sha256:{'0' * 64}",
    "clusterName": "eu-1",
    "tenant": "demo",
    "token": "abt_demo.1.2",
}
STORES = {
    "ARCBRIDGE_POSTGRES_URL": "postgresql://arcbridge_login@db:5432/arcbridge",
    "ARCBRIDGE_REDIS_URL": "redis://redis:6379/0",
}
KEY_VAULT = {"ARCBRIDGE_CA_KEY_ID", "ARCBRIDGE_CA_CHAIN"}
"""Of Azure; here the CA is in files."""
IN_THE_IMAGE = {"ARCBRIDGE_LOG_LEVEL"}
"""Read by the programs beside their settings."""


class Tools:
    """helm and kubectl on a simulated cluster."""

    def __init__(self, directory: Path, kubeconfig: Path) -> None:
        self.directory = directory
        self._environ = {
            "KUBECONFIG": str(kubeconfig),
            "HOME": str(directory),
            "PATH": os.defpath,
        }

    def __call__(self, tool: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        binary = str(state_directory() / "bin" / tool)
        return subprocess.run(
            [binary, *arguments], env=self._environ, capture_output=True, text=True, timeout=90,
            check=False,
        )  # fmt: skip

    def chart(
        self, command: str, chart: Path, values: dict[str, Any], *options: str
    ) -> subprocess.CompletedProcess[str]:
        """A command of helm on a chart."""
        file = self.directory / "values.yaml"
        file.write_text(yaml.safe_dump(values))
        name = [] if command == "lint" else ["arcbridge"]
        words = [command, *name, str(chart), "--namespace", "arcbridge-system"]
        return self("helm", *words, "--values", str(file), *options)

    def rendered(self, chart: Path, values: dict[str, Any]) -> list[dict[str, Any]]:
        done = self.chart("template", chart, values, "--include-crds")
        assert done.returncode == 0, done.stderr
        return [found for found in yaml.safe_load_all(done.stdout) if found]


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tools]:
    directory = tmp_path_factory.mktemp("charts")
    with simulator(directory, "--clusters", "c1", "--ready-delay", "0.1") as running:
        tools = Tools(directory, Path(running["clusters"]["c1"]["kubeconfig"]))
        assert tools("kubectl", "create", "namespace", "arcbridge-system").returncode == 0
        yield tools


BOTH = pytest.mark.parametrize(
    ("chart", "values"), [(CHART, VALUES), (AGENT_CHART, AGENT_VALUES)], ids=["arcbridge", "agent"]
)


@BOTH
def test_a_chart_is_clean(tools: Tools, chart: Path, values: dict[str, Any]) -> None:
    done = tools.chart("lint", chart, values, "--strict")
    assert done.returncode == 0, done.stdout


@BOTH
def test_an_api_server_takes_every_object(
    tools: Tools, tmp_path: Path, chart: Path, values: dict[str, Any]
) -> None:
    found = tools.rendered(chart, values)
    if chart is CHART:
        found += by_kind(tools, "HorizontalPodAutoscaler", by="hpa")
        found += [KEDA, *by_kind(tools, "ScaledObject", by="keda", prometheus="http://p:9090")]
    # A definition has to be there before an object of its kind can be tried.
    kinds = [each for each in found if each["kind"] == "CustomResourceDefinition"]
    for group, options in ((kinds, []), (found, ["--dry-run=server"])):
        if group:
            file = tmp_path / "objects.yaml"
            file.write_text(yaml.safe_dump_all(group))
            done = tools("kubectl", "apply", "--filename", str(file), *options)
            assert done.returncode == 0, done.stderr
            assert len(done.stdout.splitlines()) == len(group)


def containers(tools: Tools, **changes: Any) -> dict[str, dict[str, Any]]:
    return {
        container["name"]: container | {"kind": found["kind"]}
        for found in tools.rendered(CHART, VALUES | changes)
        if found["kind"] in ("Deployment", "Job")
        for container in found["spec"]["template"]["spec"]["containers"]
    }


def by_kind(tools: Tools, kind: str, **autoscaling: Any) -> list[dict[str, Any]]:
    objects = tools.rendered(CHART, VALUES | {"autoscaling": autoscaling})
    return [found for found in objects if found["kind"] == kind]


def test_replicas_are_set_by_one_alone(tools: Tools) -> None:
    assert [each["spec"]["replicas"] for each in by_kind(tools, "Deployment")] == [2, 2]
    for by in ("hpa", "keda"):
        for deployment in by_kind(tools, "Deployment", by=by):
            assert "replicas" not in deployment["spec"], by


def test_an_autoscaler_keeps_the_least_and_asks_for_the_cpu_that_containers_request(
    tools: Tools,
) -> None:
    scalers = by_kind(tools, "HorizontalPodAutoscaler", by="hpa")
    assert {(s["spec"]["minReplicas"], s["spec"]["maxReplicas"]) for s in scalers} == {
        (2, 10),
        (2, 20),
    }
    targets = {scaler["spec"]["scaleTargetRef"]["name"] for scaler in scalers}
    deployments = by_kind(tools, "Deployment", by="hpa")
    assert targets == {each["metadata"]["name"] for each in deployments}
    for container in containers(tools).values():
        assert container["resources"]["requests"]["cpu"]


def test_keda_scales_relays_by_a_metric_that_they_have(tools: Tools) -> None:
    scaled = by_kind(tools, "ScaledObject", by="keda", prometheus="http://prometheus:9090")
    triggers = {s["metadata"]["name"]: s["spec"]["triggers"] for s in scaled}
    assert [each["type"] for each in triggers["arcbridge-control-plane"]] == ["cpu"]
    [_, streams] = triggers["arcbridge-relay"]
    assert streams["metadata"]["query"] == (
        'sum(arcbridge_relay_streams{namespace="arcbridge-system"})'
    )
    assert RelayMetrics(registry := Registry()).streams
    assert b"arcbridge_relay_streams" in registry.render()[0]
    without = by_kind(tools, "ScaledObject", by="keda")
    assert all(len(each["spec"]["triggers"]) == 1 for each in without)


def environ(container: dict[str, Any]) -> dict[str, str]:
    """What the container gets; stores are in a Secret."""
    given = {each["name"]: each.get("value", "") for each in container["env"]}
    own = {name: value for name, value in given.items() if name.startswith("ARCBRIDGE_")}
    return own | {name: value for name, value in STORES.items() if name in own}


def test_the_control_plane_has_every_setting_and_understands_it(tools: Tools) -> None:
    given = environ(containers(tools)["control-plane"])
    assert set(given) == settings_of(Settings) - KEY_VAULT | IN_THE_IMAGE
    settings = Settings.from_environ(given)
    assert dict(settings.oidc_tenants) == VALUES["oidc"]["tenants"]
    assert settings.relay_address == "relay.example.org:8443"


def test_the_relay_has_every_setting_and_understands_it(tools: Tools) -> None:
    given = environ(containers(tools)["relay"])
    assert set(given) == settings_of(RelaySettings) - KEY_VAULT - TUNED_IN_CODE | IN_THE_IMAGE
    assert RelaySettings.from_environ(given).relay_host_names == ("relay.example.org",)


def test_no_pod_has_rights(tools: Tools) -> None:
    for found in tools.rendered(CHART, VALUES):
        if found["kind"] not in ("Deployment", "Job"):
            continue
        pod = found["spec"]["template"]["spec"]
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        for container in pod["containers"]:
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["resources"]["limits"]["memory"]


def test_a_digest_names_the_image(tools: Tools) -> None:
    digest = f"sha256:{'b' * 64}"
    found = containers(tools, relay={"image": {"repository": "r/relay", "digest": digest}})
    assert found["relay"]["image"] == found["database"]["image"] == f"r/relay@{digest}"


def test_the_schema_is_expanded_before_and_contracted_after(tools: Tools) -> None:
    jobs = [found for found in tools.rendered(CHART, VALUES) if found["kind"] == "Job"]
    hooks = {
        job["metadata"]["annotations"]["helm.sh/hook"]: job["spec"]["template"]["spec"][
            "containers"
        ][0]["args"]
        for job in jobs
    }
    login, tenant = "--login=arcbridge_login", "--tenant=main"
    assert hooks == {
        "pre-install,pre-upgrade": ["--phase=pre", login, tenant],
        "post-install,post-upgrade": ["--phase=post", login, tenant],
    }


@pytest.mark.parametrize(
    "wrong",
    [
        {"controlPlaneUrl": ""},
        {"relayHost": "Not A Host"},
        {"oidc": {"audience": "x", "tenants": {}}},
        {"oidc": {"audience": "x", "tenants": {"d": "t"}, "groups": {"g": "emperor"}}},
        {"relay": {"replicas": 1}},
        {"replica": 2},
        {"autoscaling": {"by": "magic"}},
        {"certificateHours": 721},
    ],
)
def test_wrong_values_are_refused_by_the_schema(tools: Tools, wrong: dict[str, Any]) -> None:
    done = tools.chart("template", CHART, VALUES | wrong)
    assert done.returncode != 0
    assert "schema" in done.stderr


def test_the_control_plane_is_installed_upgraded_and_removed(tools: Tools) -> None:
    for name in ("arcbridge", "arcbridge-ca"):
        made = tools("kubectl", "-n", "arcbridge-system", "create", "secret", "generic", name)
        assert made.returncode == 0, made.stderr
    plain = VALUES | {"relay": {"service": {"type": "ClusterIP"}}}
    done = tools.chart("install", CHART, plain, "--wait", "--timeout", "60s")
    assert done.returncode == 0, done.stderr
    assert "relay.example.org:8443" in done.stdout
    more = plain | {"controlPlane": {"replicas": 3}}
    done = tools.chart("upgrade", CHART, more, "--wait", "--timeout", "60s")
    assert done.returncode == 0, done.stderr
    shown = tools(
        "kubectl", "-n", "arcbridge-system", "get", "deployment", "--output", "json"
    ).stdout
    ready = {
        d["metadata"]["name"]: d["status"]["readyReplicas"] for d in json.loads(shown)["items"]
    }
    assert ready == {"arcbridge-control-plane": 3, "arcbridge-relay": 2}
    removed = tools("helm", "uninstall", "arcbridge", "--namespace", "arcbridge-system", "--wait")
    assert removed.returncode == 0, removed.stderr
