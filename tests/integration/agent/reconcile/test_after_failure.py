"""What a failed upgrade left half-way is gone with the next revision that succeeds."""

from __future__ import annotations

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
