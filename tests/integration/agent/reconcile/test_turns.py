"""One reconcile at a time for an extension, several extensions at once, up to a bound."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.integration.agent.reconcile.conftest import BIN, StartEngine, Tools
from tests.integration.agent.reconcile.sources import Release, config_map, overlay

RECORDER = """#!/bin/sh
echo +1 >> {log}
{sleep} 0.3
{tool} "$@"
code=$?
echo -1 >> {log}
exit $code
"""


class Counted:
    """A kubectl that takes a while, and counts itself."""

    def __init__(self, directory: Path) -> None:
        self.log = directory / "log"
        self.path = directory / "kubectl"
        sleep = shutil.which("sleep")
        self.path.write_text(RECORDER.format(log=self.log, sleep=sleep, tool=BIN / "kubectl"))
        self.path.chmod(0o700)

    def most_at_once(self) -> int:
        at_work = most = 0
        for line in self.log.read_text().split():
            at_work += int(line)
            most = max(most, at_work)
        return most


async def test_newer_releases_of_an_extension_wait_for_the_one_at_work(
    start_engine: StartEngine, tools: Tools, namespace: str, tmp_path: Path
) -> None:
    counted = Counted(tmp_path)
    release = Release("over", namespace, overlay(config_map("settings", number="1")))
    async with start_engine(kubectl=counted.path, concurrency=4) as running:
        for number in (2, 3, 4):
            running.submit(release.present())
            await running.until(lambda e, g=release.generation: e.observed_generation == g)
            release = release.next(source=overlay(config_map("settings", number=str(number))))
        running.submit(release.present())
        await running.ready("over", 4)
    assert counted.most_at_once() == 1
    assert tools.get("cm", "settings", "-n", namespace)["data"] == {"number": "4"}


async def test_several_extensions_are_worked_on_at_once_up_to_the_bound(
    start_engine: StartEngine, tools: Tools, namespace: str, tmp_path: Path
) -> None:
    counted = Counted(tmp_path)
    names = [f"over-{number}" for number in range(5)]
    releases = [Release(name, namespace, overlay(config_map(name, a="1"))) for name in names]
    async with start_engine(kubectl=counted.path, concurrency=2) as running:
        running.submit(*(release.present() for release in releases))
        for name in names:
            await running.ready(name)
    assert counted.most_at_once() == 2
    found = tools.get("cm", "-n", namespace)["items"]
    assert {item["metadata"]["name"] for item in found} >= set(names)
