"""The stream's messages, made from what the agent knows. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from agent.reconcile.seam import ExtensionTally
from shared.rpc.codec import to_timestamp
from shared.rpc.v1 import relay_pb2 as pb


@dataclass(frozen=True)
class AgentFacts:
    """What Hello says of the agent and its cluster."""

    agent_version: str
    kubernetes_version: str
    distribution: str
    instance_id: str
    """Random per process."""


@dataclass(frozen=True)
class Pulse:
    """What one heartbeat says."""

    tally: ExtensionTally
    reports_pending: int
    desired_digest: str
    ca_bundle: str = ""
    """Digest of the roots that the agent trusts."""


def hello(
    facts: AgentFacts,
    *,
    epoch: int,
    acknowledged: int,
    digest: str,
    inventory: str,
    ca_bundle: str,
    now: datetime,
) -> pb.AgentMessage:
    """The first message of a stream."""
    return pb.AgentMessage(
        hello=pb.Hello(
            last_session_epoch=epoch,
            agent_version=facts.agent_version,
            kubernetes_version=facts.kubernetes_version,
            distribution=facts.distribution,
            desired_digest=digest,
            inventory_checksum=inventory,
            agent_time=to_timestamp(now),
            instance_id=facts.instance_id,
            ca_bundle_digest=ca_bundle,
            acknowledged_sequence=acknowledged,
        )
    )


def heartbeat(sequence: int, pulse: Pulse, now: datetime) -> pb.AgentMessage:
    """A sign of life; `sequence` counts from 1 within the stream."""
    return pb.AgentMessage(
        heartbeat=pb.Heartbeat(
            sequence=sequence,
            agent_time=to_timestamp(now),
            extensions=pulse.tally.total,
            extensions_ready=pulse.tally.ready,
            extensions_failed=pulse.tally.failed,
            extensions_drifted=pulse.tally.drifted,
            reports_pending=pulse.reports_pending,
            desired_digest=pulse.desired_digest,
            ca_bundle_digest=pulse.ca_bundle,
        )
    )
