"""What an overlay no longer has is deleted by what the cluster remembers, and waited for."""

from __future__ import annotations

from pathlib import Path

from shared.contract.extension import DriftMode, DriftPolicy
from shared.contract.reasons import ReasonCode
from tests.integration.agent.reconcile.conftest import StartEngine, Tools
from tests.integration.agent.reconcile.sources import Release, config_map, overlay

QUIET = DriftPolicy(mode=DriftMode.OFF)
HOLD = "example.com/hold"


async def test_an_agent_that_lost_its_disk_deletes_what_it_had_applied_before(
    start_engine: StartEngine, tools: Tools, namespace: str, tmp_path: Path
) -> None:
    one, two, three = (config_map(name, a="1") for name in ("one", "two", "three"))
    first = Release("over", namespace, overlay(one, two, three), drift=QUIET)
    second = first.next(source=overlay(one, three))
    async with start_engine(work_dir=tmp_path / "lost") as running:
        running.submit(first.present())
        await running.ready("over")
    tools.kubectl("create", "configmap", "another-s", "-n", namespace)
    async with start_engine(work_dir=tmp_path / "empty") as running:
        running.submit(second.present())
        await running.ready("over", 2)
    assert not tools.exists("cm", "two", "-n", namespace)
    tools.kubectl("annotate", "cm", "three", "-n", namespace, "arcbridge.io/prune=disabled")
    async with start_engine(work_dir=tmp_path / "empty-again") as running:
        running.submit(second.next().absent())
        await running.removed("over", 3)
    assert not tools.exists("cm", "one", "-n", namespace)
    assert tools.exists("cm", "three", "-n", namespace), "it asks to be kept, by now"
    assert tools.exists("cm", "another-s", "-n", namespace)


async def test_what_a_finalizer_holds_is_waited_for_and_named(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    held = config_map("held", a="1")
    held["metadata"]["finalizers"] = [HOLD]
    first = Release("over", namespace, overlay(held), drift=QUIET)
    without = first.next(source=overlay(config_map("one", a="1")))
    free = ("patch", "cm", "held", "-n", namespace, "--type=merge")
    async with start_engine(max_attempts=1, termination_seconds=1.0) as running:
        running.submit(first.present())
        await running.ready("over")
        running.submit(without.present())
        failed = await running.failed("over", 2)
        assert failed.reason is ReasonCode.PRUNE_FAILED
        assert f"ConfigMap {namespace}/held does not go; it is held by {HOLD}" in failed.message
        assert "deletionTimestamp" in tools.get("cm", "held", "-n", namespace)["metadata"]
        running.submit(without.next().absent())
        failed = await running.failed("over", 3)
        assert (failed.reason, HOLD in failed.message) == (ReasonCode.UNINSTALL_FAILED, True)
        tools.kubectl(*free, '-p={"metadata": {"finalizers": null}}')
        running.submit(without.next(generation=4).absent())
        await running.removed("over", 4)
    assert not tools.exists("cm", "held", "-n", namespace)
