"""Letting go of ArcBridge: workloads stay, or go with one command, as the administrator asks."""

from __future__ import annotations

import asyncio
import sys

from shared.contract.canonical import digest
from shared.contract.desired import DesiredExtension
from tests.integration.agent.reconcile.conftest import BIN, Tools
from tests.integration.agent.reconcile.sources import Release, chart_archive, inline_chart
from tests.integration.agent_link.conftest import ROOT, Site, eventually
from tests.integration.agent_link.desired import greeting


async def uninstall(site: Site) -> tuple[int | None, str, str]:
    """`python -m agent uninstall` beside the agent, as `kubectl exec` runs it: status, words."""
    [agent] = site.agents
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agent", "uninstall", env=agent.environment, cwd=ROOT,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(120):
        output, errors = await process.communicate()
    return process.returncode, output.decode(), errors.decode()


def elsewhere(extension: DesiredExtension) -> DesiredExtension:
    """The same under another name in another namespace."""
    assert extension.spec is not None
    spec = extension.spec.model_copy(update={"namespace": "other"})
    changes = {"name": "a-second", "spec": spec, "spec_digest": digest(spec.to_canonical())}
    return extension.model_copy(update=changes)


async def names(site: Site, namespace: str) -> set[str]:
    maps = await site.kube.resource("v1", "ConfigMap")
    return {each["metadata"]["name"] for each in (await site.kube.list(maps, namespace)).items}


async def test_what_extensions_brought_stays_until_it_is_asked_to_go(site: Site) -> None:
    plane = site.control_plane
    chart = Release("web", "shop", inline_chart(chart_archive()))
    plane.extensions = (greeting(), elsewhere(greeting()), chart.present())
    tools = Tools(site.kubeconfig, site.directory / "tools", BIN)
    await site.install()
    agent = site.agent(ARCBRIDGE_AGENT_LEASE_SECONDS="15")
    await agent.start()

    async def applied() -> bool:
        ready = [each.get("ready") for each in (await site.status()).get("extensions") or ()]
        return ready == [True, True, True]

    await eventually(applied, "the extensions are ready", 90)
    status, _, errors = await uninstall(site)
    assert status == 1
    assert "delete the ArcBridgeCluster first" in errors

    clusters = await site.kube.resource("arcbridge.io/v1", "ArcBridgeCluster")
    await site.kube.delete(clusters, "eu-1")
    await eventually(lambda: agent.logged("begins anew"), "the agent lets go")
    assert "greeting" in await names(site, "default") & await names(site, "other")
    [revision] = await asyncio.to_thread(tools.history, "web", "shop")
    assert revision["status"] == "deployed"
    assert await asyncio.to_thread(tools.exists, "deployment", "web", "--namespace=shop")

    status, output, errors = await uninstall(site)
    assert status == 0, errors
    assert output.splitlines() == [
        "a-second: Nothing of it is left",
        "greeting: Nothing of it is left",
        "web: Nothing of it is left",
    ]
    assert await asyncio.to_thread(tools.helm, "list", "--namespace=shop", "--short") == ""
    assert not await asyncio.to_thread(tools.exists, "deployment,service", "--namespace=shop")
    assert "greeting" not in await names(site, "default") | await names(site, "other")
    assert not any(name.startswith("arcbridge-extension-") for name in
                   await names(site, "arcbridge-system"))  # fmt: skip
    status, output, _ = await uninstall(site)
    assert (status, output) == (0, ""), "it may be repeated"
