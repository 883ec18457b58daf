"""`python -m agent`: read the settings, then serve until told to stop.

`python -m agent upgrade` carries out an upgrade of the agent and ends (`agent.upgrade`);
`python -m agent uninstall` takes away all that extensions brought (`agent.uninstall`).
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace

from agent.errors import AgentError
from agent.network import prepare
from agent.process import serve
from agent.settings import AgentProcessSettings, SettingsError
from agent.statedir import owned
from agent.uninstall import uninstall
from agent.upgrade.command import carry_out_upgrade
from agent.upgrade.job import COMMAND as UPGRADE
from shared.telemetry.logs import configure_logging, get_logger
from shared.telemetry.tracing import configure_tracing

SERVICE = "arcbridge-agent"
EXIT_UNUSABLE = 2
EXIT_FAILED = 1

log = get_logger(__name__)
UNINSTALL = "uninstall"
_WORK: dict[tuple[str, ...], Callable[[AgentProcessSettings], Coroutine[None, None, None]]] = {
    (): serve,
    (UPGRADE,): carry_out_upgrade,
    (UNINSTALL,): uninstall,
}


def main(arguments: Sequence[str] = ()) -> int:
    """Exit status: 0 when asked to stop or done, 2 for an unusable call or settings, 1 for
    anything else."""
    work = _WORK.get(tuple(arguments))
    if work is None:
        sys.stderr.write(f"usage: python -m agent [{UPGRADE} | {UNINSTALL}]\n")
        return EXIT_UNUSABLE
    try:
        settings = AgentProcessSettings.from_environ()
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_UNUSABLE
    configure_logging(SERVICE, level=settings.log_level)
    flush = configure_tracing(SERVICE, instance=settings.instance)
    # Beside the agent of the same pod, which has the directory itself.
    directory = settings.state_dir / UNINSTALL if work is uninstall else settings.state_dir
    settings = replace(settings, state_dir=directory)
    try:
        with owned(directory):
            prepare(settings, os.environ)
            asyncio.run(work(settings))
    except AgentError as error:
        log.error("agent cannot go on", error=str(error))  # noqa: TRY400 - the text says it all
        return EXIT_FAILED
    except Exception:
        # The process's supervisor: whatever it is, it must be in the log; the next start heals.
        log.exception("agent failed")
        return EXIT_FAILED
    finally:
        flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
