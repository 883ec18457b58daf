"""Planted secrets are where they are meant to be and nowhere else that an agent writes or sends."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from agent.credentials.secret import IdentitySecret
from dev.state import state_directory
from shared.contract.canonical import digest_bytes
from shared.contract.desired import DesiredExtension
from shared.contract.helm_source import HelmSource
from shared.contract.kustomize_source import KustomizeSource, OverlayArchive
from shared.contract.source import Source
from shared.contract.states import ExtensionPhase
from tests.integration.agent.reconcile.https_server import Page, https_server
from tests.integration.agent.reconcile.sources import (
    Release,
    chart_archive,
    inline_chart,
    overlay,
)
from tests.integration.agent_link.conftest import Site, eventually

HOST = "127.0.0.1"
SECONDS = 90.0
CANARIES = {
    kind: f"canary-{kind}-0f3a9c71d25e"
    for kind in ("values", "failing", "password", "wrong", "live", "url")
}
BASIC = "Basic " + base64.b64encode(f"robot:{CANARIES['password']}".encode()).decode()
LEAKY = '{{ fail (printf "cannot go on with password=%s" .Values.auth.password) }}'
RECORDER = """#!{python} -IS
import json, os, sys
with open({directory!r} + "/" + str(os.getpid()), "w") as file:
    json.dump([sys.argv, dict(os.environ)], file)
os.execv({tool!r}, [{tool!r}, *sys.argv[1:]])
"""


@dataclass
class Seen:
    """Tools that write down how they are called."""

    directory: Path

    def tool(self, name: str) -> str:
        wrapper = self.directory.parent / f"recorded-{name}"
        tool = str(state_directory() / "bin" / name)
        text = RECORDER.format(python=sys.executable, directory=str(self.directory), tool=tool)
        wrapper.write_text(text)
        wrapper.chmod(0o700)
        return str(wrapper)

    def calls(self) -> str:
        return "\n".join(path.read_text() for path in self.directory.iterdir())


def found_in(text: str, canaries: Mapping[str, str]) -> set[str]:
    """Which of them stand in a text, plain or in base64."""
    return {
        kind
        for kind, secret in canaries.items()
        if secret in text or base64.b64encode(secret.encode()).decode().rstrip("=") in text
    }


def login(name: str, password: str, host: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name,
            "namespace": "default",
            "labels": {"arcbridge.io/credentials-for": "artifacts"},
            "annotations": {"arcbridge.io/hosts": host},
        },
        "stringData": {"username": "robot", "password": password},
    }


def extensions(host: str) -> tuple[DesiredExtension, ...]:
    """One that works, and some that fail with a secret at hand."""
    chart = {"repo": f"https://{host}", "chart": "web", "version": "1.0.0"}
    good, wrong = (
        Source(helm=HelmSource.model_validate({**chart, "credentials_ref": {"name": name}}))
        for name in ("login", "wrong")
    )
    leaky = inline_chart(chart_archive("leaky", leaky=LEAKY))
    signed = OverlayArchive(
        url=f"https://{host}/away.tgz?sig={CANARIES['url']}", digest=digest_bytes(b"")
    )
    live = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "live"},
        "stringData": {"password": "declared"},
    }
    return tuple(
        release.present()
        for release in (
            Release("web", "default", good, {"password": CANARIES["values"]}),
            Release("refused", "default", wrong),
            Release("leaky", "default", leaky, {"auth": {"password": CANARIES["failing"]}}),
            Release("away", "default", Source(kustomize=KustomizeSource(archive=signed))),
            Release("drifting", "default", overlay(live)),
        )
    )


async def apply(site: Site, *objects: dict[str, Any]) -> None:
    for obj in objects:
        resource = await site.kube.resource(obj["apiVersion"], obj["kind"])
        await site.kube.apply(resource, obj, force=True, manager="a-person")


def reported(site: Site, extension: str, phase: ExtensionPhase, *, drift: bool = False) -> bool:
    return any(
        event.extension == extension
        and event.phase is phase
        and (not drift or (event.drift is not None and event.drift.differences))
        for event in site.control_plane.events.values()
    )


async def everything(site: Site, kind: str, namespace: str | None = None) -> str:
    """All objects of a core kind."""
    resource = await site.kube.resource("v1", kind)
    return json.dumps((await site.kube.list(resource, namespace)).items)


@pytest.mark.timeout(240)
async def test_no_secret_is_in_what_the_agent_writes_says_or_sends(
    site: Site, tmp_path: Path
) -> None:
    seen = Seen(tmp_path / "seen")
    seen.directory.mkdir()
    traces = tmp_path / "traces.jsonl"
    index = {"entries": {"web": [{"version": "1.0.0", "urls": ["web.tgz"]}]}}
    pages = {
        "/index.yaml": Page(yaml.safe_dump(index).encode(), authorization=BASIC),
        "/web.tgz": Page(chart_archive(), authorization=BASIC),
    }
    with https_server(tmp_path, pages) as port:
        host = f"{HOST}:{port}"
        await apply(
            site,
            login("login", CANARIES["password"], host),
            login("wrong", CANARIES["wrong"], host),
        )
        site.control_plane.extensions = extensions(host)
        token = site.control_plane.new_token("eu-1")
        await site.install(token)
        agent = site.agent(
            ARCBRIDGE_HELM=seen.tool("helm"),
            ARCBRIDGE_KUBECTL=seen.tool("kubectl"),
            ARCBRIDGE_AGENT_PRIVATE_HOSTS=HOST,
            # The API server is in this very process and helm keeps it busy: no lease is lost here.
            ARCBRIDGE_AGENT_LEASE_SECONDS="60",
            ARCBRIDGE_TRACE_FILE=str(traces),
            SSL_CERT_FILE=str(tmp_path / "cert.pem"),
        )
        await agent.start()
        for name, phase in (
            ("web", ExtensionPhase.READY),
            ("drifting", ExtensionPhase.READY),
            ("refused", ExtensionPhase.FAILED),
            ("leaky", ExtensionPhase.FAILED),
            ("away", ExtensionPhase.FAILED),
        ):
            await eventually(
                lambda n=name, p=phase: reported(site, n, p), f"{name} is {phase.value}", SECONDS
            )
        edited = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "live"}}
        edited["metadata"] = {"name": "live", "namespace": "default"}
        await apply(site, {**edited, "stringData": {"password": CANARIES["live"]}})
        await eventually(
            lambda: reported(site, "drifting", ExtensionPhase.READY, drift=True),
            "the drift is told",
            SECONDS,
        )
        identity = await IdentitySecret(site.kube, "arcbridge-system").load()
        assert identity is not None
        canaries = {**CANARIES, "token": token, "key": identity.key_pem.splitlines()[2]}

        async def told() -> bool:
            events = await everything(site, "Event")
            return "extension leaky" in events and "extension refused" in events

        await eventually(told, "the failures are Events", SECONDS)
        await eventually(
            lambda: any(s.inventory for s in site.control_plane.streams), "the inventory", SECONDS
        )
        async with httpx.AsyncClient(trust_env=False) as client:
            metrics = (await client.get(f"http://127.0.0.1:{agent.port()}/metrics")).text
        places = {
            "log": agent.log.read_text(),
            "Events": await everything(site, "Event"),
            "status of the resource": json.dumps(await site.resource()),
            "records": await everything(site, "ConfigMap", "arcbridge-system"),
            "reports": "".join(b.model_dump_json() for b in site.control_plane.batches),
            "heartbeats": str([s.heartbeats for s in site.control_plane.streams]),
            "inventory": str([s.inventory for s in site.control_plane.streams]),
            "metrics": metrics,
            "tools": seen.calls(),
        }
        assert await agent.stop() == 0
        places["traces"] = traces.read_text()
        places["log"] = agent.log.read_text()
    assert [place for place, text in places.items() if len(text) < 20] == []
    assert {
        place: found for place, text in places.items() if (found := found_in(text, canaries))
    } == {}
    # The journal holds what is declared, values and all; credentials are on no disk.
    kept = "".join(
        path.read_bytes().decode(errors="replace")
        for path in (tmp_path / "state-a").rglob("*")
        if path.is_file()
    )
    assert found_in(kept, canaries) <= {"values", "failing", "url"}
    # And the search finds what is there.
    assert {"values", "live"} <= found_in(await everything(site, "Secret", "default"), canaries)
