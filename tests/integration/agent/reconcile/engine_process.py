"""An engine in a process of its own, to be killed: arguments are listed in `main`.

It reconciles the document and writes a line to standard output for each report.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from agent.clock import SystemClock
from agent.kube.client import KubeClient
from agent.reconcile.engine import Drivers, Engine
from agent.reconcile.seam import EventDraft, ReconcileGate, ReconcileSettings
from shared.contract.desired import DesiredDocument


class Printer:
    """Reports to standard output."""

    async def record(self, draft: EventDraft) -> None:
        """One line."""
        print(draft.phase.value, draft.observed_generation, flush=True)  # noqa: T201 - its purpose


async def main(kubeconfig: Path, work_dir: Path, namespace: str, document: str) -> None:
    """Run until killed."""
    binaries = Path(sys.argv[5])
    settings = ReconcileSettings(
        helm=binaries / "helm",
        kubectl=binaries / "kubectl",
        work_dir=work_dir,
        state_namespace=namespace,
        kubeconfig=kubeconfig,
        own_pending_seconds=0.3,
    )
    async with await KubeClient.connect(kubeconfig) as kube:
        engine = Engine(
            kube=kube,
            drivers=Drivers.from_settings(settings),
            sink=Printer(),
            settings=settings,
            clock=SystemClock(),
        )
        engine.submit(
            DesiredDocument.model_validate_json(document), reconcile_allowed=ReconcileGate()
        )
        await engine.run()


if __name__ == "__main__":
    text = Path(sys.argv[4]).read_text()
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], text))
