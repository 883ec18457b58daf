"""A leader that is killed in the middle of an upgrade is followed by the other replica."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

from dev.trial.release import Release
from shared.contract.states import ExtensionPhase
from shared.rpc.v1 import relay_pb2 as pb
from tests.integration.agent.reconcile.conftest import BIN, Tools
from tests.integration.agent.reconcile.sources import chart_archive, inline_chart
from tests.integration.agent.reconcile.test_recovery import HOOK
from tests.integration.agent_link.conftest import Site, eventually


def is_ready(site: Site, revision: int) -> bool:
    return any(
        event.phase is ExtensionPhase.READY and event.revision == revision
        for event in site.control_plane.events.values()
    )


async def test_the_other_replica_ends_what_a_killed_leader_had_begun(
    site: Site, tmp_path: Path
) -> None:
    await site.install()
    first, second = site.agent("a"), site.agent("b")
    await first.start()
    await eventually(site.is_ready, "the resource is Ready")
    await second.start()
    plane, tools = site.control_plane, Tools(site.kubeconfig, tmp_path, BIN)
    good = Release("web", "shop", inline_chart(chart_archive(hook=HOOK)))
    hangs = good.next(values={"testCommand": "sleep 600"})
    [stream] = plane.open_streams()
    for release in (good, hangs):
        plane.extensions = (release.present(),)
        stream.outgoing.put_nowait(pb.RelayMessage(desired_changed=pb.DesiredChanged()))
        if release is good:
            await eventually(lambda: is_ready(site, 1), "the first revision is Ready", 60)
    pending = ("get", "secret", "-n", "shop", "-o", "name", "-lstatus=pending-upgrade")
    await eventually(
        lambda: asyncio.to_thread(tools.kubectl, *pending), "the upgrade waits for its hook", 60
    )
    plane.extensions = (hangs.next(values={"greeting": "three"}).present(),)
    first.send(signal.SIGKILL)
    await eventually(lambda: is_ready(site, 3), "the other replica goes on", 60)
    history = await asyncio.to_thread(tools.history, "web", "shop")
    ends = [(entry["status"], entry["description"]) for entry in history]
    assert ends == [
        ("superseded", "ArcBridge revision 1"),
        ("failed", "Its helm was killed: freed"),
        ("deployed", "ArcBridge revision 3"),
    ]
    assert await second.metric("arcbridge_agent_leading") == 1
