"""Whether the identity there is can be used, or a new certificate must be asked for. Pure."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from agent.cluster.resource import ClusterSpec
from agent.credentials.identity import Identity


class Step(StrEnum):
    """What to do about the identity now."""

    USE = "use"
    ENROL = "enrol"
    WAIT = "wait"
    """Nothing can be done without a bootstrap token."""


def next_step(
    identity: Identity | None,
    token: str | None,
    spec: ClusterSpec,
    now: datetime,
    rejected_serial: str | None,
) -> Step:
    """A good identity is used even when a token is there; a bad one only gives way to a token.

    `rejected_serial` is that of a certificate which the relay said was revoked or expired.
    """
    if identity is not None and is_good(identity, spec, now, rejected_serial):
        return Step.USE
    return Step.ENROL if token else Step.WAIT


def is_good(
    identity: Identity, spec: ClusterSpec, now: datetime, rejected_serial: str | None
) -> bool:
    """Whether the control plane that the resource names would take it."""
    return (
        identity.not_after > now
        and identity.serial != rejected_serial
        and same_url(identity.registration.control_plane_url, spec.control_plane_url)
    )


def same_url(first: str, second: str) -> bool:
    """Whether two base URLs name the same place."""
    return first.rstrip("/").lower() == second.rstrip("/").lower()
