"""What an upgrade of the agent consists of, and how it went: one Secret, read by API.

The Secret outlives every process that takes part: the old agent that writes the order, the Job
that carries it out, and whichever agent is there in the end to report.
"""

from __future__ import annotations

import base64
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, JsonValue, ValidationError

from agent.errors import KubeNotFound
from agent.kube.client import KubeClient
from agent.kube.discovery import Resource
from shared.contract.base import Name, Text, WireModel

SECRETS = Resource("", "v1", "Secret", "secrets", namespaced=True)
NAME = "arcbridge-agent-upgrade"
_ORDER, _OUTCOME, _CHART = "order.json", "outcome.json", "chart.tgz"


class UpgradePhase(StrEnum):
    """How far an upgrade is."""

    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    ROLLED_BACK = "RolledBack"
    """The new agent did not come back, or helm failed; what was there before is there again."""
    ROLLBACK_FAILED = "RollbackFailed"


class UpgradeOutcome(WireModel):
    """How an upgrade went, so far."""

    phase: UpgradePhase = UpgradePhase.RUNNING
    message: Text = ""


class UpgradeOrder(WireModel):
    """One upgrade."""

    id: str
    """Generation and content: another one is another upgrade."""
    cluster: str
    """Name of the ArcBridgeCluster whose status tells that the agent is back."""
    release: Name
    namespace: Name
    values: dict[str, JsonValue] = Field(default_factory=dict)
    labels: dict[str, str]
    description: str
    deadline_seconds: Annotated[float, Field(gt=0)]
    """From the end of helm's work until the new agent must be connected."""
    previous: int | None = None
    """The Helm revision to go back to; None where the agent was not installed by this release."""
    deployment: dict[str, JsonValue] = Field(default_factory=dict)
    """The Deployment as it was: what to go back to where there is no Helm revision."""


class OrderStore:
    """Reads and writes the Secret."""

    def __init__(self, kube: KubeClient, namespace: str) -> None:
        self._kube = kube
        self._namespace = namespace

    async def load(self) -> tuple[UpgradeOrder, UpgradeOutcome] | None:
        """The newest order, or None where there is none that can be read. Raises KubeError."""
        try:
            secret = await self._kube.get(SECRETS, NAME, self._namespace)
        except KubeNotFound:
            return None
        try:
            return (
                UpgradeOrder.model_validate_json(_entry(secret, _ORDER)),
                UpgradeOutcome.model_validate_json(_entry(secret, _OUTCOME)),
            )
        except (KeyError, ValueError, ValidationError):
            return None

    async def chart(self) -> bytes:
        """The archive of the newest order's chart. Raises KubeError."""
        return _entry(await self._kube.get(SECRETS, NAME, self._namespace), _CHART)

    async def place(self, order: UpgradeOrder, chart: bytes) -> None:
        """Write a new order in the place of the one before. Raises KubeError."""
        await self._write(
            {
                _ORDER: order.model_dump_json(by_alias=True).encode(),
                _OUTCOME: UpgradeOutcome().model_dump_json(by_alias=True).encode(),
                _CHART: chart,
            }
        )

    async def conclude(self, outcome: UpgradeOutcome) -> None:
        """Write how the newest order went. Raises KubeError."""
        text = outcome.model_dump_json(by_alias=True).encode()
        body = {"data": {_OUTCOME: base64.b64encode(text).decode()}}
        await self._kube.patch(SECRETS, NAME, self._namespace, body)

    async def _write(self, data: dict[str, bytes]) -> None:
        body: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "Opaque",
            "metadata": {"name": NAME, "namespace": self._namespace},
            "data": {key: base64.b64encode(value).decode() for key, value in data.items()},
        }
        await self._kube.apply(SECRETS, body, force=True)


def _entry(secret: dict[str, Any], key: str) -> bytes:
    return base64.b64decode(secret["data"][key])
