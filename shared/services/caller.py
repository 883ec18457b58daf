"""Who asks: known from a credential, never from a path or a header that a proxy may have set."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from shared.contract.states import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """One authenticated caller. Its tenant is the only one that it can see or change."""

    actor: str
    """`person:<oid>`, `service:<oid>`, `cluster:<id>` or `system:<timer>`."""
    tenant: str
    roles: frozenset[Role] = frozenset()
    cluster_id: UUID | None = None
    """Of an agent."""
    address: str | None = None
    """Where the call came from, as the host reports it; for the audit trail and rate limits."""
    traceparent: str | None = None

    @classmethod
    def system(cls, name: str, tenant: str) -> Caller:
        """A timer that works for a tenant."""
        return cls(actor=f"system:{name}", tenant=tenant)
