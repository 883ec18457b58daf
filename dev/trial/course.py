"""The way of one trial: install, upgrade, drift, correction, rollback, uninstall.

The agent's engine does the work and says when it is done; then helm and the cluster are asked.
A step that does not hold ends the way, and what it left is taken away.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from agent.reconcile.difference import ABSENT
from agent.reconcile.objects import ObjectKey, key_of
from agent.reconcile.pointer import parse_pointer, resolve
from agent.reconcile.seam import EventDraft
from dev.trial.release import Release
from dev.trial.running import RunningEngine
from dev.trial.tools import ClusterGoneError, Object
from dev.trial.verdicts import (
    NotHeldError,
    describe_all,
    judge_drift,
    judge_history,
    judge_presence,
    split_left,
)
from dev.trial.witness import Witness
from shared.contract.reasons import ReasonCode
from shared.contract.states import ExtensionPhase

STEPS = ("install", "upgrade", "drift", "correction", "rollback", "uninstall")
_BEYOND_SECONDS = 60.0
"""What a step may take above its own deadline, to say that it failed."""
_SEEN_SECONDS = 30.0
"""How long drift may take to be told; it takes a second or two."""
_GONE_SECONDS = 60.0
"""How long pods may take to end, and what belonged to a deleted object to be collected."""
_POLL_SECONDS = 0.5
_LOOK_SECONDS = 5.0
_LOOKS = 3
"""While nothing is said, look this often whether the cluster is there, and miss it so many times
in a row before it counts as gone."""
_ENDS = frozenset({ExtensionPhase.READY, ExtensionPhase.FAILED})


@dataclass(frozen=True)
class Step:
    """How one step went."""

    name: str
    seconds: float
    said: str
    held: bool


@dataclass
class Course:
    """One trial on its way. `promised` and `charts` grow with what was applied."""

    running: RunningEngine
    witness: Witness
    state_namespace: str
    release: Release
    promised: dict[ObjectKey, Object] = field(default_factory=dict)
    charts: list[str] = field(default_factory=list)
    there: frozenset[str] = frozenset()
    """What the namespace held before."""
    before: Any = ABSENT
    """What stood at the disturbed field."""

    async def play(self, told: Callable[[Step], None]) -> list[Step]:
        """All steps, up to the first that does not hold; each is told as it ends."""
        steps: list[Step] = []
        acts: dict[str, Callable[[], Awaitable[str]]] = {
            "install": self.install,
            "upgrade": self.upgrade,
            "drift": self.drift,
            "correction": self.correction,
            "rollback": self.rollback,
            "uninstall": self.uninstall,
        }
        for name in STEPS:
            self.running.events.clear()
            began = time.monotonic()
            try:
                said, held = await acts[name](), True
            except AssertionError as error:  # the engine's silence, or a tool's failure
                said, held = str(error), False
            except NotHeldError as error:
                said, held = str(error), False
            steps.append(Step(name, time.monotonic() - began, said, held))
            told(steps[-1])
            if not held:
                break
        return steps

    async def install(self) -> str:
        """Deploy the first version."""
        return await self._deploy(self.release, self.witness.trial.versions[0])

    async def upgrade(self) -> str:
        """Go to the second version."""
        _, second = self.witness.trial.versions
        wanted = self.witness.trial.release(second)
        return await self._deploy(self.release.next(source=wanted.source), second)

    async def rollback(self) -> str:
        """Go back to the first version, as a control plane's rollback does: a release of old
        content."""
        first, _ = self.witness.trial.versions
        wanted = self.witness.trial.release(first)
        return await self._deploy(self.release.next(source=wanted.source), first)

    async def drift(self) -> str:
        """Edit an object: it is told, with field, values and manager."""
        edit = self.witness.trial.disturb
        live = await asyncio.to_thread(self.witness.disturbed, edit)
        self.before = _at(live, edit.path)
        if edit.value == self.before:
            raise NotHeldError(f"{edit.path} is {edit.value!r} already: disturb it with another")
        after = ABSENT if edit.value is None else edit.value
        operation = "remove" if after is ABSENT else "add" if self.before is ABSENT else "replace"
        await asyncio.to_thread(self.witness.disturb, edit, operation)
        began = time.monotonic()
        try:
            event = await self._until(_tells_drift, seconds=_SEEN_SECONDS)
        except AssertionError as error:
            raise NotHeldError(
                f"{edit.kind} {edit.name} {edit.path} was changed, and nothing was told: does the "
                "source declare that field?"
            ) from error
        seconds = time.monotonic() - began
        assert event.drift is not None  # noqa: S101 - for the type: that is what was waited for
        told = judge_drift(event.drift.differences, edit, self.before, after)
        return f"{describe_all((told,))}, told after {seconds:.1f} s"

    async def correction(self) -> str:
        """Ask for a correction: the object is what it was, and helm's history, too."""
        edit = self.witness.trial.disturb
        asked = replace(self.release, correction=self.release.correction + 1)
        self.release = asked
        self.running.submit(asked.present())
        ends = (ReasonCode.DRIFT_CORRECTED, ReasonCode.DRIFT_CORRECTION_FAILED)
        event = await self._until(lambda e: e.reason in ends, seconds=_BEYOND_SECONDS)
        if event.reason is not ReasonCode.DRIFT_CORRECTED:
            raise NotHeldError(f"{event.reason.value}: {event.message}")
        live = await asyncio.to_thread(self.witness.disturbed, edit)
        if _at(live, edit.path) != self.before:
            raise NotHeldError(f"{edit.path} is {_at(live, edit.path)!r}, not {self.before!r}")
        self.running.events.clear()
        said = await self._judge(self.witness.trial.versions[1])
        await self._stay_quiet()
        return said

    async def uninstall(self) -> str:
        """Take it away: nothing of it is left."""
        gone = self.release.next()
        self.running.submit(gone.absent())
        event = await self._end(gone.generation, frozenset({ExtensionPhase.REMOVED}))
        deadline = time.monotonic() + _GONE_SECONDS
        while True:
            kept, wrong = await asyncio.to_thread(self._left)
            if not wrong:
                break
            if time.monotonic() > deadline:
                raise NotHeldError(f"{event.message}, it says; left are {', '.join(wrong)}")
            await asyncio.sleep(_POLL_SECONDS)
        others = await asyncio.to_thread(self._left_by_what_ran, kept)
        told = ["nothing of it is left"]
        told += [f"kept as it asks: {', '.join(kept)}"] if kept else []
        told += [f"left by what ran in it: {', '.join(others)}"] if others else []
        return "; ".join(told)

    async def _until(self, wanted: Callable[[EventDraft], bool], *, seconds: float) -> EventDraft:
        """The first event that is wanted. Raises AssertionError, and ClusterGoneError well before
        that where there is no cluster any more to say anything about."""
        deadline, missed = time.monotonic() + seconds, 0
        while True:
            left = deadline - time.monotonic()
            try:
                return await self.running.until(wanted, seconds=min(_LOOK_SECONDS, left))
            except AssertionError:
                if left <= _LOOK_SECONDS:
                    raise
            try:
                await asyncio.to_thread(self.witness.tools.find_cluster)
                missed = 0
            except ClusterGoneError:
                missed += 1
                if missed == _LOOKS:
                    raise

    async def _deploy(self, release: Release, version: Path) -> str:
        self.release = release
        for obj in await asyncio.to_thread(self.witness.promised, version):
            self.promised[key_of(obj)] = obj
        began = time.monotonic()
        self.running.submit(release.present())
        event = await self._end(release.generation, _ENDS)
        seconds = time.monotonic() - began
        if chart := await asyncio.to_thread(self.witness.chart, version):
            self.charts.append(chart)
        said = await self._judge(version)
        await self._see_no_drift(release.generation)
        tries = f", at attempt {event.attempt}" if event.attempt > 1 else ""
        return f"ready after {seconds:.1f} s{tries}; {said}"

    async def _end(self, generation: int, wanted: frozenset[ExtensionPhase]) -> EventDraft:
        """The first verdict on a generation. Raises NotHeldError when it is not the wanted one."""
        ends = wanted | {ExtensionPhase.FAILED}
        seconds = self.witness.trial.timeout.total_seconds() + _BEYOND_SECONDS
        event = await self._until(
            lambda e: e.observed_generation == generation and e.phase in ends, seconds=seconds
        )
        if event.phase is ExtensionPhase.FAILED:
            raise NotHeldError(f"{event.reason.value}: {event.message}")
        return event

    async def _judge(self, version: Path) -> str:
        return await asyncio.to_thread(self._judged, version)

    def _judged(self, version: Path) -> str:
        """What there is to say for a version that is said to be ready. Raises NotHeldError."""
        said = judge_history(self.witness.history(), self.charts) if self.charts else ""
        objects = self.witness.applied(version)
        wanted = {key_of(obj): obj for obj in objects}
        self.promised |= wanted
        judge_presence(wanted, self.witness.present(objects))
        if different := self.witness.differences(objects):
            raise NotHeldError(f"not what the source says:\n{different}")
        if unready := self.witness.unready(objects):
            raise NotHeldError("; ".join(unready))
        mine = {key_of(obj) for obj in self.witness.promised(version)}
        old = {key: obj for key, obj in self.promised.items() if key not in mine | wanted.keys()}
        _, wrong = split_left(self.witness.present(list(old.values())), old)
        if wrong:
            raise NotHeldError(f"left of another version: {', '.join(wrong)}")
        return "; ".join(filter(None, (f"{len(objects)} objects as the source says", said)))

    async def _see_no_drift(self, generation: int) -> None:
        """The check after a release, and those that late changes bring about, find nothing."""
        await self._until(
            lambda e: e.observed_generation == generation and e.drift is not None,
            seconds=_SEEN_SECONDS,
        )
        await self._stay_quiet()

    async def _stay_quiet(self) -> None:
        await asyncio.sleep(self.witness.trial.quiet.total_seconds())
        for event in self.running.events:
            if _tells_drift(event) and event.drift is not None:
                found = describe_all(event.drift.differences)
                raise NotHeldError(f"drift, though nobody changed anything: {found}")
            if event.phase is ExtensionPhase.FAILED:
                raise NotHeldError(f"{event.reason.value}: {event.message}")

    def _left(self) -> tuple[list[str], list[str]]:
        """(what the source wants kept, what should be gone)."""
        left = self.witness.present(list(self.promised.values()))
        kept, wrong = split_left(left, self.promised)
        known = {key.name for key in left}
        wrong += [n for n in self.witness.labelled() if n.rpartition("/")[2] not in known]
        wrong += ["helm's history"] if self.witness.history() else []
        record = f"arcbridge-extension-{self.release.name}"
        if self.witness.tools.exists("configmap", record, "-n", self.state_namespace):
            wrong.append("the agent's record")
        return kept, wrong

    def _left_by_what_ran(self, kept: list[str]) -> list[str]:
        """What controllers and hooks made of themselves; no uninstall of helm takes it away."""
        if not self.witness.tools.exists("namespace", self.release.namespace):
            return []
        named = {name.split(" ")[1].rpartition("/")[2] for name in kept}
        found = self.witness.in_namespace() - self.there - self.witness.in_any_namespace()
        return sorted(name for name in found if name.rpartition("/")[2] not in named)


def _tells_drift(event: EventDraft) -> bool:
    return event.drift is not None and bool(event.drift.differences)


def _at(live: Object, path: str) -> Any:
    try:
        return resolve(live, parse_pointer(path))
    except KeyError:
        return ABSENT
