"""A Lease (coordination.k8s.io/v1) read and written. Pure.

No clock is compared with another machine's: a lease has ended when this process has seen it
unchanged for its whole duration (as client-go does it).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

API_VERSION = "coordination.k8s.io/v1"
KIND = "Lease"


@dataclass(frozen=True)
class LeaseRecord:
    """What a Lease says."""

    holder: str
    duration_seconds: float
    transitions: int
    version: str
    """Its resourceVersion: a change of any kind."""

    @classmethod
    def read(cls, obj: dict[str, Any]) -> LeaseRecord:
        """From the API server's object."""
        spec = obj.get("spec") or {}
        return cls(
            holder=spec.get("holderIdentity") or "",
            duration_seconds=float(spec.get("leaseDurationSeconds") or 0),
            transitions=int(spec.get("leaseTransitions") or 0),
            version=obj["metadata"].get("resourceVersion", ""),
        )

    def may_be_taken(self, candidate: str, unchanged_seconds: float) -> bool:
        """Whether `candidate` may hold it: it is free, its own, or silent for too long."""
        return self.holder in ("", candidate) or unchanged_seconds >= self.duration_seconds


def lease_body(
    name: str,
    namespace: str,
    *,
    holder: str,
    seconds: float,
    now: datetime,
    before: LeaseRecord | None,
    taken: bool,
) -> dict[str, Any]:
    """The Lease as `holder` writes it; with the version of `before`, so that one writer wins."""
    transitions = before.transitions if before else 0
    stamp = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    spec: dict[str, Any] = {
        "holderIdentity": holder,
        # The field is a whole number and at least 1.
        "leaseDurationSeconds": max(1, round(seconds)),
        "renewTime": stamp,
        "leaseTransitions": transitions + 1 if taken and before else transitions,
    }
    if taken:
        spec["acquireTime"] = stamp
    metadata: dict[str, Any] = {"name": name, "namespace": namespace}
    if before is not None:
        metadata["resourceVersion"] = before.version
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": spec}
