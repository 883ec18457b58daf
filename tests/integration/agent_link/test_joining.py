from __future__ import annotations

import asyncio
import base64
import signal
from typing import Any

from dev.state import state_directory
from shared.identity import csr
from shared.identity.certificates import spki
from shared.manifests.render import render
from tests.integration.agent_link.conftest import NAME, Site, eventually

WRONG_PIN = f"sha256:{'1' * 64}"


async def secret(site: Site, name: str) -> dict[str, str]:
    secrets = await site.kube.resource("v1", "Secret")
    data = (await site.kube.get(secrets, name, "arcbridge-system")).get("data") or {}
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


async def events_about_the_cluster(site: Site) -> list[dict[str, Any]]:
    events = await site.kube.resource("v1", "Event")
    found = (await site.kube.list(events, "default")).items
    return [e for e in found if e["involvedObject"]["kind"] == "ArcBridgeCluster"]


async def test_an_installed_agent_registers_streams_and_says_so(site: Site) -> None:
    await site.install()
    await site.agent().start()
    await eventually(site.is_ready, "the resource is Ready")
    status = await site.status()
    assert status["tenant"] == "demo"
    assert status["certificate"]["notAfter"]
    assert status["observedGeneration"] == 1
    [stream] = site.control_plane.open_streams()
    assert str(stream.cluster_id) == status["clusterId"]
    assert stream.hello.kubernetes_version.startswith("v1.")
    await eventually(lambda: len(stream.heartbeats) > 3, "heartbeats arrive")
    assert [h.sequence for h in stream.heartbeats][:3] == [1, 2, 3]


async def test_labels_changed_after_the_registration_are_refused_with_the_way_to_do_it(
    site: Site,
) -> None:
    await site.install()
    await site.agent(ARCBRIDGE_AGENT_LEASE_SECONDS="15").start()
    await eventually(site.is_ready, "the resource is Ready", 90)
    clusters = await site.kube.resource("arcbridge.io/v1", "ArcBridgeCluster")
    await site.kube.patch(clusters, "eu-1", None, {"spec": {"labels": {"ring": "canary"}}})

    async def told() -> bool:
        return any(
            "arcbridge cluster label eu-1" in event["message"]
            for event in await events_about_the_cluster(site)
        )

    await eventually(told, "an Event says where labels are changed", 90)
    assert await site.is_ready()


async def test_the_used_token_is_gone_from_the_cluster(site: Site) -> None:
    await site.install()
    await site.agent().start()
    await eventually(site.is_ready, "the resource is Ready")
    assert await secret(site, "arcbridge-bootstrap") == {}
    kept = await secret(site, "arcbridge-agent-identity")
    assert set(kept) == {"tls.key", "tls.crt", "ca.crt", "registration.json"}


async def test_sigterm_ends_the_agent_in_order(site: Site) -> None:
    await site.install()
    agent = site.agent()
    await agent.start()
    await eventually(site.is_ready, "the resource is Ready")
    assert await agent.stop(signal.SIGTERM) == 0
    assert not agent.ready_file.exists()
    leases = await site.kube.resource("coordination.k8s.io/v1", "Lease")
    lease = await site.kube.get(leases, "arcbridge-agent", "arcbridge-system")
    assert not lease["spec"].get("holderIdentity")


async def test_a_lost_answer_is_asked_for_again_with_the_same_key(site: Site) -> None:
    site.control_plane.troubles["register"].extend(["lose", "503"])
    await site.install()
    await site.agent().start()
    await eventually(site.is_ready, "the resource is Ready")
    keys = {spki(csr.public_key_of(r.csr)) for r in site.control_plane.registrations}
    assert len(site.control_plane.registrations) == 3
    assert len(keys) == 1


async def test_an_agent_killed_before_the_answer_asks_with_the_same_key(site: Site) -> None:
    site.control_plane.troubles["register"].extend(["lose"] * 50)
    await site.install()
    agent = site.agent()
    await agent.start()
    await eventually(lambda: site.control_plane.registrations, "a registration arrives")
    await agent.stop(signal.SIGKILL)
    site.control_plane.troubles["register"].clear()
    await agent.start()
    await eventually(site.is_ready, "the resource is Ready")
    assert len({spki(csr.public_key_of(r.csr)) for r in site.control_plane.registrations}) == 1


async def test_a_refused_token_is_said_and_another_one_helps(site: Site) -> None:
    await site.install(token="abt_demo.never.made")
    await site.agent().start()
    await eventually(lambda: refused(site), "the condition Registered tells of the refusal")

    async def told() -> bool:
        return any(
            e["reason"] == "RegistrationRefused" for e in await events_about_the_cluster(site)
        )

    await eventually(told, "an Event tells of it too")
    assert len(site.control_plane.registrations) == 1
    await site.install()
    await eventually(site.is_ready, "the resource is Ready")


async def test_an_agent_that_needs_approval_says_so_and_asks_until_it_is_approved(
    site: Site,
) -> None:
    site.control_plane.needs_approval = True
    await site.install()
    await site.agent().start()

    async def waits() -> bool:
        return await site.condition("Registered") == ("False", "PendingApproval")

    await eventually(waits, "the condition Registered tells that it waits")
    await eventually(lambda: len(site.control_plane.registrations) >= 2, "it asks again")
    site.control_plane.needs_approval = False
    await eventually(site.is_ready, "the resource is Ready")
    asked = site.control_plane.registrations
    assert len({spki(csr.public_key_of(each.csr)) for each in asked}) == 1


async def refused(site: Site) -> bool:
    return await site.condition("Registered") == ("False", "RegistrationRefused")


async def test_a_control_plane_without_the_pinned_root_gets_nothing(site: Site) -> None:
    await site.install(ca_pin=WRONG_PIN)
    await site.agent().start()

    async def untrusted() -> bool:
        return await site.condition("Registered") == ("False", "ControlPlaneUntrusted")

    await eventually(untrusted, "the condition Registered tells of the wrong root")
    assert set(await secret(site, "arcbridge-agent-identity")) == {"pending.key"}
    assert not site.control_plane.streams


async def kubectl(site: Site, *arguments: str, stdin: str = "") -> str:
    process = await asyncio.create_subprocess_exec(
        str(state_directory() / "bin" / "kubectl"),
        *arguments,
        env={"KUBECONFIG": str(site.kubeconfig), "HOME": str(site.directory), "PATH": ""},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate(stdin.encode())
    assert process.returncode == 0, errors.decode()
    return output.decode()


async def test_one_kubectl_apply_is_the_whole_installation_and_may_be_repeated(site: Site) -> None:
    token = site.control_plane.new_token(NAME)
    manifest = render(site.installation(token, external=False))
    await kubectl(site, "apply", "-f", "-", stdin=manifest)
    await kubectl(site, "apply", "-f", "-", stdin=manifest)
    agent = site.agent()
    await agent.start()
    await eventually(site.is_ready, "the resource is Ready")
    shown = (await kubectl(site, "get", "arcbridgeclusters")).splitlines()
    assert shown[0].split() == [
        "NAME", "TENANT", "CONNECTED", "READY", "REASON", "EXTENSIONS", "HEARTBEAT", "AGE"
    ]  # fmt: skip
    assert shown[1].split()[:6] == [NAME, "demo", "True", "True", "ClusterConnected", "0/0"]
    described = await kubectl(site, "describe", "arcbridgecluster", NAME)
    assert "Registered" in described
    # Neither the token nor the key shows anywhere but in the Secret that is made for it.
    key = (await secret(site, "arcbridge-agent-identity"))["tls.key"].splitlines()[1]
    told = agent.log.read_text() + described + str(await events_about_the_cluster(site))
    for canary in (token, token.rpartition(".")[2], key):
        assert canary not in told
