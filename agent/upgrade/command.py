"""`python -m agent upgrade`: what the Job of an upgrade runs."""

from __future__ import annotations

from agent.drivers.helm import Helm
from agent.errors import AgentError
from agent.kube.client import KubeClient
from agent.reconcile.seam import ReconcileSettings
from agent.settings import AgentProcessSettings
from agent.upgrade.order import OrderStore, UpgradePhase
from agent.upgrade.watchman import Watchman


class UpgradeNotUndone(AgentError):
    """The new agent did not come back, and neither could the old one be brought back."""


async def carry_out_upgrade(settings: AgentProcessSettings) -> None:
    """Carry out the newest order, if it is not done yet. Raises AgentError."""
    work_dir = settings.state_dir / "work"
    work_dir.mkdir(mode=0o700, exist_ok=True)
    async with await KubeClient.connect(settings.kubeconfig) as own:
        kube = own.acting_as(settings.impersonate)
        watchman = Watchman(
            kube=kube,
            helm=Helm(
                settings.helm,
                work_dir,
                settings.kubeconfig,
                history_max=ReconcileSettings.history_max,
            ),
            orders=OrderStore(kube, settings.namespace),
            as_user=settings.impersonate,
            work_dir=work_dir,
        )
        outcome = await watchman.carry_out()
    if outcome is not None and outcome.phase is UpgradePhase.ROLLBACK_FAILED:
        raise UpgradeNotUndone(outcome.message)
