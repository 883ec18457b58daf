"""What every worker of an engine shares."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from agent.clock import Clock
from agent.kube.client import KubeClient
from agent.reconcile.belongings import Belongings
from agent.reconcile.drift import DriftChecker
from agent.reconcile.owned import OwnedObjects
from agent.reconcile.record import RecordStore, SourceKind
from agent.reconcile.seam import ReconcileSettings, StatusSink
from agent.reconcile.work import Deployer


@dataclass(frozen=True)
class Surroundings:
    """What every worker shares."""

    kube: KubeClient
    deployers: Mapping[SourceKind, Deployer]
    records: RecordStore
    sink: StatusSink
    settings: ReconcileSettings
    clock: Clock
    drift: DriftChecker
    owned: OwnedObjects
    belongings: Belongings
    slots: asyncio.Semaphore
    """How many extensions are applied at once; waiting for readiness takes no slot."""
    missing_dependency: Callable[[tuple[str, ...]], str | None]
    """A sentence about the first dependency that is not ready, or None."""
    leaving_dependent: Callable[[str], str | None]
    """A sentence about one that needs the extension of this name, and is to be taken away like it
    but is still there; or None."""
    changed: Callable[[], None]
    """Tells that a worker's state changed, for those that depend on it."""
