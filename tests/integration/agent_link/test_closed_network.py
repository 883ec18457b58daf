"""A cluster whose only way out is a proxy, towards servers that a company's own CA vouches for."""

from __future__ import annotations

import uuid
from pathlib import Path

import yaml

from shared.contract.canonical import digest, digest_bytes
from shared.contract.desired import DesiredExtension, DesiredState
from shared.contract.extension import ResolvedSpec
from shared.contract.helm_source import HelmSource
from shared.contract.source import Source
from shared.contract.states import ExtensionPhase
from tests.fakes.connect_proxy import ConnectProxy
from tests.fakes.control_plane import FakeControlPlane
from tests.integration.agent.reconcile.https_server import NAME as REPOSITORY
from tests.integration.agent.reconcile.https_server import Page, https_server
from tests.integration.agent.reconcile.sources import chart_archive
from tests.integration.agent_link.conftest import eventually, open_site

HUB = "hub.corp.example"
LEASE_SECONDS = "15"
"""helm's first questions keep the simulated API server, in this process, busy for a while."""


def chart_from(repository: str, content: bytes) -> DesiredExtension:
    """An extension that is a chart of a repository."""
    helm = HelmSource(repo=repository, chart="web", version="1.0.0", digest=digest_bytes(content))
    spec = ResolvedSpec(source=Source(helm=helm), namespace="shop")
    return DesiredExtension(
        name="web",
        state=DesiredState.PRESENT,
        revision=1,
        spec_digest=digest(spec.to_canonical()),
        generation=1,
        rollout_id=uuid.UUID(int=1),
        spec=spec,
    )


def verdict(plane: FakeControlPlane) -> str | None:
    """What the agent says of the extension in the end."""
    final = (ExtensionPhase.READY, ExtensionPhase.FAILED)
    return next((e.message for e in plane.events.values() if e.phase in final), None)


async def test_everything_goes_through_the_proxy_and_trusts_the_company_s_roots(
    tmp_path: Path,
) -> None:
    content = chart_archive()
    entry = {"version": "1.0.0", "urls": ["web-1.0.0.tgz"]}
    pages = {
        "/index.yaml": Page(yaml.safe_dump({"entries": {"web": [entry]}}).encode()),
        "/web-1.0.0.tgz": Page(content),
    }
    plane = FakeControlPlane(tmp_path / "ca", HUB)
    with https_server(tmp_path, pages) as port:
        roots = tmp_path / "ca.crt"
        roots.write_text(plane.issuer.authority.bundle + (tmp_path / "cert.pem").read_text())
        repository = f"{REPOSITORY}:{port}"
        async with (
            ConnectProxy().running() as proxy,
            plane.running(),
            open_site(tmp_path, plane) as site,
        ):
            plane.extensions = (chart_from(f"https://{repository}", content),)
            await site.install()
            agent = site.agent(
                HTTPS_PROXY=proxy.url,
                ARCBRIDGE_AGENT_LEASE_SECONDS=LEASE_SECONDS,
                ARCBRIDGE_AGENT_CA_FILE=str(roots),
                ARCBRIDGE_AGENT_PRIVATE_HOSTS=REPOSITORY,
            )
            await agent.start()
            await eventually(site.is_ready, "the resource is Ready", 90)
            deployed = await eventually(lambda: verdict(plane), "the chart is deployed", 120)
            assert deployed == "Revision 1 is ready"
            api = plane.url.removeprefix("https://")
            assert set(proxy.asked) == {api, plane.relay_address, repository}


async def test_without_the_company_s_roots_nothing_is_believed_and_said(tmp_path: Path) -> None:
    plane = FakeControlPlane(tmp_path / "ca", HUB)
    async with (
        ConnectProxy().running() as proxy,
        plane.running(),
        open_site(tmp_path, plane) as site,
    ):
        await site.install()
        await site.agent(HTTPS_PROXY=proxy.url).start()

        async def said() -> bool:
            conditions = (await site.status()).get("conditions") or ()
            return any("certificate" in each.get("message", "").lower() for each in conditions)

        await eventually(said, "the resource tells of the certificate", 90)
        assert not plane.registrations
