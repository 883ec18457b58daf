"""`make trial FROM=LIST [KUBECONFIG=FILE] [ONLY=NAME]`: charts and overlays of others on a cluster.

    python -m dev.trial LIST [--only NAME] [--keep]

LIST is a YAML file, or a folder with a `trials.yaml`; dev/trial/entries.py shows one. Without
KUBECONFIG a simulated cluster is started. On a cluster that has an object of a trial already, that
trial is refused: it would take over, and then delete, what someone else uses. Exit status: 0 when
every step of every trial held, 1 when one did not or the cluster went away, 2 when there was
nothing that could be tried.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from agent.errors import AgentError
from agent.reconcile.objects import Object, key_of
from agent.reconcile.seam import ReconcileSettings
from dev.kube.apart import simulated
from dev.state import state_directory
from dev.tether import tie_to_make
from dev.trial.course import STEPS, Course, Step
from dev.trial.entries import Trial, TrialListError, read_list
from dev.trial.running import running_engine
from dev.trial.tools import ToolError, Tools
from dev.trial.witness import Witness


class NotClearedError(Exception):
    """What a trial left is still there, and nothing more can be tried on this cluster."""


@dataclass(frozen=True)
class Place:
    """Where trials take place."""

    what: str
    tools: Tools
    work_dir: Path


@asynccontextmanager
async def place(kubeconfig: str | None) -> AsyncIterator[Place]:
    """A cluster and the tools for it. Raises ToolError where it does not answer."""
    with tempfile.TemporaryDirectory(dir=state_directory()) as name:
        directory = Path(name)
        binaries = state_directory() / "bin"
        if kubeconfig:
            yield _asked(kubeconfig, Tools(Path(kubeconfig), directory, binaries), directory)
            return
        async with simulated(directory) as path:
            yield _asked("simulated", Tools(path, directory, binaries), directory)


def _asked(what: str, tools: Tools, directory: Path) -> Place:
    version = json.loads(tools.kubectl("version", "-o", "json"))["serverVersion"]["gitVersion"]
    return Place(f"{what}, Kubernetes {version}", tools, directory)


async def play(trial: Trial, at: Place, *, keep: bool = False) -> list[Step]:
    """Take one through its life, print each step, and clear what is left.

    Raises TrialListError where it may not be tried on this cluster, or cannot be packed.
    """
    witness = Witness(at.tools, trial)
    first, _ = trial.versions
    release = trial.release(first)
    await asyncio.to_thread(_refuse_what_is_there, witness)
    stood = at.tools.exists("namespace", trial.namespace)
    there = witness.in_namespace() if stood else frozenset()
    namespaces = [] if stood else [trial.namespace]
    settings = ReconcileSettings(
        helm=at.tools.binaries / "helm",
        kubectl=at.tools.binaries / "kubectl",
        work_dir=at.work_dir / "work",
        state_namespace=f"arcbridge-trial-{secrets.token_hex(4)}",
        kubeconfig=at.tools.kubeconfig,
    )
    promised: list[Object] = []
    steps: list[Step] = []

    def told(step: Step) -> None:
        steps.append(step)
        _tell(step)

    try:
        async with running_engine(settings) as running:
            course = Course(running, witness, settings.state_namespace, release, there=there)
            try:
                return await course.play(told)
            finally:
                promised += course.promised.values()
    finally:
        if not keep:
            namespaces.append(settings.state_namespace)
            await _clear(witness, promised, namespaces, steps)


async def _clear(
    witness: Witness, promised: list[Object], namespaces: list[str], steps: list[Step]
) -> None:
    """Take away what is left. Raises NotClearedError, which says how a person does it."""
    try:
        await asyncio.to_thread(witness.clear, promised, namespaces)
    except ToolError as error:
        trial = witness.trial
        after = f"after the step {steps[-1].name}" if steps else "before the first step"
        by_hand = f"helm uninstall {trial.name} -n {trial.namespace}" if trial.helm else ""
        by_hand += f"{'; ' if by_hand else ''}kubectl delete namespace {' '.join(namespaces)}"
        if trial.namespace not in namespaces:
            by_hand += f"; and the objects of {trial.name} in {trial.namespace}"
        why = " ".join(str(error).split())
        raise NotClearedError(
            f"{trial.name} is not cleared up {after}: {why}. Take away what is left once the "
            f"cluster answers: {by_hand}"
        ) from error


def _refuse_what_is_there(witness: Witness) -> None:
    try:
        promised = [obj for path in witness.trial.versions for obj in witness.promised(path)]
    except ToolError as error:
        raise TrialListError(str(error)) from error
    if there := sorted(witness.present(list({key_of(o): o for o in promised}.values()))):
        raise TrialListError(f"{there[0]} is on this cluster already: try it on another one")


def _tell(step: Step) -> None:
    mark = "ok    " if step.held else "FAILED"
    print(f"  {mark} {step.name:11} {step.seconds:6.1f} s  {step.said}", flush=True)


def show(results: dict[str, list[Step]]) -> None:
    """Seconds by trial and step."""
    width = max(map(len, results))
    print(f"\n{'':{width}}  {'  '.join(f'{name:>10}' for name in STEPS)}")
    for name, steps in results.items():
        cells = [f"{step.seconds:.1f} s" if step.held else "FAILED" for step in steps]
        cells += ["-"] * (len(STEPS) - len(cells))
        print(f"{name:{width}}  {'  '.join(f'{cell:>10}' for cell in cells)}")


async def main(arguments: argparse.Namespace) -> int:
    """The exit status."""
    try:
        trials = [t for t in read_list(arguments.list) if arguments.only in (None, t.name)]
        if not trials:
            raise TrialListError(f"{arguments.list} has no entry called {arguments.only!r}")
    except TrialListError as error:
        print(error, file=sys.stderr)
        return 2
    results: dict[str, list[Step]] = {}
    refused = False
    try:
        async with place(os.environ.get("KUBECONFIG")) as at:
            print(f"on {at.what}", flush=True)
            for trial in trials:
                began = time.monotonic()
                print(f"\n{trial.name}: {' and '.join(path.name for path in trial.versions)}")
                try:
                    results[trial.name] = await play(trial, at, keep=arguments.keep)
                except TrialListError as error:
                    refused = True
                    print(f"  not tried: {error}")
                print(f"  {time.monotonic() - began:.1f} s with clearing up", flush=True)
    except NotClearedError as error:
        print(error, file=sys.stderr)
        return 1
    except (ToolError, AgentError) as error:
        print(f"the cluster cannot be used: {error}", file=sys.stderr)
        return 2
    if results:
        show(results)
    failed = not all(step.held for steps in results.values() for step in steps)
    return 1 if failed else 2 if refused else 0


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m dev.trial", description=__doc__)
    parser.add_argument("list", type=Path, help="YAML, or a folder with a trials.yaml")
    parser.add_argument("--only", help="the entry with this name")
    parser.add_argument("--keep", action="store_true", help="leave what failed to be looked at")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    tie_to_make()
    sys.exit(asyncio.run(main(parse(sys.argv[1:]))))
