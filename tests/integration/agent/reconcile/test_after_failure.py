"""What a failed upgrade left half-way, or had begun to delete, is right with the next revision."""

from __future__ import annotations

import asyncio
import json

from shared.contract.extension import DriftMode, DriftPolicy
from shared.contract.reasons import ReasonCode
from tests.integration.agent.reconcile.conftest import StartEngine, Tools
from tests.integration.agent.reconcile.sources import Release, chart_archive, inline_chart

QUIET = DriftPolicy(mode=DriftMode.OFF)
ADDED = """
apiVersion: v1
kind: ConfigMap
metadata: {name: added}
data: {a: "1"}
"""
NAMED = "--field-selector=metadata.name=added"
BAD = "apiVersion: v1\nkind: Service\nmetadata: {name: bad}\nspec: {ports: [{port: 70000}]}\n"


async def test_a_rollback_takes_away_what_an_upgrade_that_failed_had_made(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    first = Release("web", namespace, inline_chart(chart_archive()), drift=QUIET)
    broken = inline_chart(chart_archive(version="2.0.0", added=ADDED, bad=BAD))
    async with start_engine(max_attempts=2) as running:
        running.submit(first.present())
        await running.ready("web")
        running.submit(first.next(source=broken).present())
        assert (await running.failed("web", 2)).reason is ReasonCode.UPGRADE_FAILED
        assert tools.exists("cm", "added", "-n", namespace)
        running.submit(first.next(generation=3, revision=1).present())
        await running.ready("web", 3)
        assert not tools.exists("cm", "added", "-n", namespace)


async def test_what_is_being_deleted_is_waited_for_and_made_anew(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    """As with a rollback while what the upgrade deleted is still held by a controller."""

    def hold(*finalizers: str) -> None:
        body = json.dumps({"metadata": {"finalizers": finalizers}})
        tools.kubectl("patch", "cm", "added", "-n", namespace, "--type=merge", f"-p={body}")

    source = inline_chart(chart_archive(added=ADDED))
    first = Release("web", namespace, source, drift=QUIET)
    without = inline_chart(chart_archive(version="2.0.0"))
    async with start_engine(max_attempts=1) as running:
        running.submit(first.present())
        await running.ready("web")
        hold("example.com/hold")
        uid = tools.get("cm", "added", "-n", namespace)["metadata"]["uid"]
        running.submit(first.next(source=without).present())
        await running.ready("web", 2)
        tools.kubectl("label", "cm", "added", "-n", namespace, "arcbridge.io/extension-")
        running.submit(first.next(generation=3, revision=1).present())
        async with asyncio.timeout(30):
            while not tools.exists("cm", "-n", namespace, "-l", "arcbridge.io/extension", NAMED):
                await asyncio.sleep(0.1)
        hold()
        await running.ready("web", 3, seconds=30)
    assert tools.get("cm", "added", "-n", namespace)["metadata"]["uid"] != uid
