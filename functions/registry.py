"""Every resource and every timer of the app, in the order of the documentation."""

from __future__ import annotations

from functions import (
    agent_manifest,
    artifact_policy,
    bootstrap_tokens,
    ca,
    clusters,
    desired,
    documents,
    drift,
    enrolments,
    events,
    extensions,
    freezes,
    health,
    joining_policy,
    metrics,
    register,
    rollouts,
    status,
    tenants,
)
from functions.edge.endpoint import Endpoint
from functions.edge.resource import Resource
from functions.edge.timer import Timer
from functions.timers import (
    certificate_sweep,
    connectivity_sweep,
    drift_sweep,
    heartbeat_flush,
    retention,
    rollout_pacer,
)

RESOURCES: tuple[Resource, ...] = (
    desired.api,
    extensions.api,
    rollouts.api,
    freezes.api,
    artifact_policy.api,
    drift.api,
    clusters.api,
    agent_manifest.api,
    bootstrap_tokens.api,
    joining_policy.api,
    enrolments.api,
    events.api,
    register.api,
    status.api,
    health.api,
    tenants.api,
    ca.api,
    metrics.api,
    documents.api,
)
TIMERS: tuple[Timer, ...] = (
    rollout_pacer.timer,
    heartbeat_flush.timer,
    connectivity_sweep.timer,
    drift_sweep.timer,
    certificate_sweep.timer,
    retention.timer,
)


def endpoints() -> tuple[Endpoint, ...]:
    """Every HTTP endpoint."""
    return tuple(endpoint for resource in RESOURCES for endpoint in resource.endpoints)
