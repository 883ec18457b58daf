"""How clusters join a tenant, whatever the bootstrap token says."""

from __future__ import annotations

from shared.contract.base import Reason, Timestamp, WireModel


class JoiningPolicySpec(WireModel):
    """The body of PUT /joining-policy. The default asks for nothing beyond the token."""

    approval: bool = False
    """Every cluster that joins, or joins again, waits for an admin: also with a token that does not
    ask for it, and with one that was made before."""
    reason: Reason | None = None


class JoiningPolicy(WireModel):
    """The policy as it is stored."""

    approval: bool = False
    updated_by: str | None = None
    updated_at: Timestamp | None = None
    etag: str
