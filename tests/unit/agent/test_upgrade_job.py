"""The Job of an upgrade: the agent's own pod, as it runs now, with another command."""

from __future__ import annotations

from typing import Any

import pytest

from agent.upgrade.job import upgrade_job
from shared.manifests.install import AgentInstall
from shared.manifests.workload import deployment


def live() -> dict[str, Any]:
    install = AgentInstall(
        cluster_name="eu-1",
        tenant="demo",
        control_plane_url="https://arcbridge.example.org",
        ca_pin=f"sha256:{'0' * 64}",
        token="abt_demo.1.2",
        image="arcbridge/agent@sha256:1",
    )
    return deployment(install)


def test_it_is_the_agents_pod_without_probes_and_out_of_the_deployments_selection() -> None:
    agent = live()
    job = upgrade_job(agent, "3-ABC", "arcbridge-system", 300)
    [container] = job["spec"]["template"]["spec"]["containers"]
    [own] = agent["spec"]["template"]["spec"]["containers"]
    assert job["metadata"]["name"] == "arcbridge-agent-upgrade-3-abc"
    assert container["args"] == ["upgrade"]
    assert (container["image"], container["env"]) == (own["image"], own["env"])
    assert container["securityContext"] == own["securityContext"]
    assert not {"ports", "livenessProbe", "readinessProbe"} & set(container)
    assert job["spec"]["template"]["spec"]["serviceAccountName"] == "arcbridge-agent"
    assert job["spec"]["activeDeadlineSeconds"] > 300
    selector = agent["spec"]["selector"]["matchLabels"].items()
    assert not selector <= job["spec"]["template"]["metadata"]["labels"].items()
    assert "args" not in own, "the Deployment itself is not changed"


def test_a_deployment_that_is_not_the_agents_is_refused() -> None:
    other = live()
    other["spec"]["template"]["spec"]["containers"][0]["name"] = "web"
    with pytest.raises(KeyError, match="container agent"):
        upgrade_job(other, "1-a", "arcbridge-system", 300)
