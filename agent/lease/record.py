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
class Term:
    """One holder's time: which Lease, and how many holders it had before.

    A Lease that is deleted and made anew counts from 0 again, so numbers alone would repeat.
    """

    lease: str
    """Its uid."""
    number: int

    def follows(self, earlier: Term) -> bool:
        """Whether nobody else led in between: it is the same term, or that of a holder which gave
        the lease back and took it again."""
        return self.lease == earlier.lease and self.number - earlier.number in (0, 1)

    def to_text(self) -> str:
        """As it is kept."""
        return f"{self.number} {self.lease}"

    @classmethod
    def read(cls, text: str) -> Term:
        """What `to_text` wrote; of a number alone nobody knows which Lease it was of."""
        number, _, lease = text.partition(" ")
        return cls(lease or "unknown", int(number))


@dataclass(frozen=True)
class LeaseRecord:
    """What a Lease says."""

    holder: str
    duration_seconds: float
    transitions: int
    uid: str
    """Of the object: one that was deleted and made anew is another."""
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
            uid=obj["metadata"].get("uid", ""),
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
