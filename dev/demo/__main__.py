"""`python -m dev.demo`: tell the story; exit status 0 if every step ended as it should."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from rich.console import Console

from dev.backends import BackendError
from dev.backends.process import free_port
from dev.demo import summary, trace
from dev.demo.record import Outcome, Step, StepFailedError, passed, write
from dev.demo.scene import Scene, witnessed
from dev.demo.screen import Screen
from dev.demo.steps import STORY
from dev.issuer.client import SignInError
from dev.serving import PortTakenError
from dev.stack.child import ChildError
from dev.stack.clusters import ClusterError
from dev.stack.installed import make_room, tidy_up
from dev.stack.settings import (
    FAST_SCHEDULES,
    HTTP_PORT,
    RELAY_PORT,
    TRACES,
    StackSettings,
    port_of,
)
from dev.stack.stack import names_to_simulate, stack
from dev.stack.surface import CommandFailedError
from dev.state import StateInUseError, owned, state_directory
from dev.tether import tie_to_make

LAST_STEP = "sum up: what happened, the trace of a rollout, where to look next"
NARROW_COLUMNS = 100
PROBLEMS = (
    BackendError, ChildError, ClusterError, CommandFailedError, PortTakenError, SignInError,
    StateInUseError, StepFailedError, TimeoutError,
)  # fmt: skip


class Demo:
    """The story as it is told: the steps, the screen, and the file."""

    def __init__(self, console: Console, file: Path) -> None:
        self.steps = [*(Step(name) for name, _ in STORY), Step(LAST_STEP)]
        self.screen = Screen(console, self.steps)
        self._file = file

    async def play(self, step: Step, action: Callable[[Step], Awaitable[None]]) -> None:
        """Run one step and note how it went; what went wrong travels on."""
        self.screen.begin(step)
        started = time.monotonic()
        try:
            await action(step)
            step.outcome = Outcome.PASSED
        except BaseException as error:
            step.outcome = Outcome.FAILED
            step.problem = str(error) or type(error).__name__
            raise
        finally:
            step.seconds = time.monotonic() - started
            self.screen.end(step)
            write(self._file, self.steps, self.screen.seconds)

    async def tell(self, state: Path) -> list[trace.Line]:
        """The whole story; gives the trace to show."""
        lines: list[trace.Line] = []
        settings = await settings_of(state)
        async with AsyncExitStack() as opened:
            first, *others = STORY
            scene: Scene | None = None

            async def begin(step: Step) -> None:
                nonlocal scene
                scene = await set_up(opened, settings, self.screen)
                await first[1](scene, step)

            await self.play(self.steps[0], begin)
            if scene is None:
                raise StepFailedError("nothing was set up")
            the_scene: Scene = scene
            for step, (_, action) in zip(self.steps[1:], others, strict=False):
                await self.play(step, partial(action, the_scene))

            async def end(step: Step) -> None:
                lines.extend(await summary.sum_up(the_scene, step))

            await self.play(self.steps[-1], end)
        return lines


async def settings_of(state: Path) -> StackSettings:
    """The demo's stack: in an empty folder, on free ports unless they are set, with fast timers."""
    return StackSettings(
        state=state,
        http_port=port_of(HTTP_PORT, free_port()),
        relay_port=port_of(RELAY_PORT, free_port()),
        durable=False,
        heartbeat_seconds=2,
        poll_seconds=5,
        schedules=FAST_SCHEDULES,
        simulated_clusters=await names_to_simulate(state / "kubeconfigs"),
    )


async def set_up(opened: AsyncExitStack, settings: StackSettings, screen: Screen) -> Scene:
    """Start the stack and the witnesses."""
    screen.say("starting PostgreSQL, Redis, the control plane, the relay, the issuer, the clusters")
    running = await opened.enter_async_context(stack(settings, screen.say))
    operator, admin = await running.surface("operator"), await running.surface("admin")
    await asyncio.gather(*(make_room(operator, each) for each in running.clusters))
    opened.push_async_callback(tidy_up, running, operator)
    witnesses = await opened.enter_async_context(
        witnessed(operator, running.clusters, lambda: None)
    )
    screen.witnesses = witnesses
    screen.say("connecting " + ", ".join(cluster.name for cluster in running.clusters))
    return Scene(running, operator, admin, witnesses, screen.say)


async def run(console: Console, state: Path) -> int:
    """Tell the story until its end or a Ctrl-C; gives the exit status."""
    with owned(state / "demo") as directory:
        for entry in directory.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
            elif entry.name != "owner.lock":
                entry.unlink()
        demo = Demo(console, state / "demo.json")
        telling = asyncio.create_task(demo.tell(directory))
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, telling.cancel)
        lines: list[trace.Line] = []
        with demo.screen:
            try:
                lines = await telling
            except asyncio.CancelledError:
                demo.screen.say("stopped")
            except PROBLEMS as error:
                demo.screen.say(str(error))
        summary.print_steps(console, demo.steps, demo.screen.seconds)
        if not passed(demo.steps):
            console.print(f"\nLogs: {directory / 'logs'}", highlight=False)
            return 1
        summary.print_trace(console, lines, directory / TRACES)
        summary.print_next(console)
        return 0


def main() -> int:
    """0 only if every step ended as it should."""
    tie_to_make()
    plain = Console()
    console = plain if plain.is_terminal else Console(width=max(plain.width, NARROW_COLUMNS))
    try:
        return asyncio.run(run(console, state_directory()))
    except (ClusterError, StateInUseError) as error:
        print(f"make demo: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
