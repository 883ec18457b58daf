"""What the resource's status shows. Pure: facts in, JSON out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from agent import __version__
from agent.credentials.identity import Identity
from agent.reconcile.seam import ExtensionStatus
from shared.contract.status import Condition

MESSAGE_CHARACTERS = 256


@dataclass(frozen=True)
class StatusFacts:
    """Everything that the status is made of."""

    instance: str
    """Name of the pod that leads."""
    identity: Identity | None
    observed_generation: int
    last_heartbeat: datetime | None
    desired_digest: str | None
    desired_signed_at: datetime | None
    """No older document is acted on, whichever replica leads."""
    extensions: tuple[ExtensionStatus, ...]
    conditions: tuple[Condition, ...]


def render_status(facts: StatusFacts) -> dict[str, Any]:
    """The whole status; None stands for a field that a merge patch takes away."""
    identity = facts.identity
    ready = sum(extension.ready for extension in facts.extensions)
    return {
        "agent": {"version": __version__, "instance": facts.instance},
        "clusterId": str(identity.registration.cluster_id) if identity else None,
        "tenant": identity.registration.tenant if identity else None,
        "relayAddress": identity.registration.relay_address if identity else None,
        "certificate": {"serial": identity.serial, "notAfter": _time(identity.not_after)}
        if identity
        else None,
        "observedGeneration": facts.observed_generation,
        "lastHeartbeat": _time(facts.last_heartbeat) if facts.last_heartbeat else None,
        "desiredDigest": facts.desired_digest,
        "desiredSignedAt": _time(facts.desired_signed_at) if facts.desired_signed_at else None,
        "extensionsReady": f"{ready}/{len(facts.extensions)}",
        "extensions": [_extension(extension) for extension in facts.extensions],
        "conditions": [condition.to_wire() for condition in facts.conditions],
    }


def without_heartbeat(status: dict[str, Any]) -> dict[str, Any]:
    """The status as it is compared: a heartbeat alone is no reason to write at once."""
    return {name: value for name, value in status.items() if name != "lastHeartbeat"}


def _extension(extension: ExtensionStatus) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "name": extension.name,
        "revision": extension.revision,
        "ready": extension.ready,
        "reason": extension.reason.value,
    }
    if extension.message:
        shown["message"] = extension.message[:MESSAGE_CHARACTERS]
    return shown


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
