"""Tenants, as the platform's operators see them: state, quotas and what is used of them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from shared.contract.base import Name, Reason, Timestamp, WireModel
from shared.contract.limits import (
    CLUSTERS_PER_TENANT,
    EXTENSIONS_PER_TENANT,
    PUBLISHES_PER_HOUR,
)


class TenantState(StrEnum):
    """Whether a tenant may use the service."""

    ACTIVE = "Active"
    SUSPENDED = "Suspended"
    """Its people and agents are refused; nothing is removed, its clusters run on."""
    DELETED = "Deleted"
    """Like suspended, and its data is being removed; the audit trail stays."""


class Quotas(WireModel):
    """How much of something a tenant may have."""

    clusters: Annotated[int, Field(ge=0, le=10_000_000)] = CLUSTERS_PER_TENANT
    extensions: Annotated[int, Field(ge=0, le=1_000_000)] = EXTENSIONS_PER_TENANT
    publishes_per_hour: Annotated[int, Field(ge=0, le=1_000_000)] = PUBLISHES_PER_HOUR


class Usage(WireModel):
    """How much of it there is."""

    clusters: int
    extensions: int
    publishes_last_hour: int


class Tenant(WireModel):
    """One tenant."""

    name: Name
    state: TenantState
    quotas: Quotas
    usage: Usage
    created_at: Timestamp


class TenantRequest(WireModel):
    """The body of POST /tenants."""

    name: Name
    quotas: Quotas = Quotas()
    reason: Reason | None = None


class TenantPatch(WireModel):
    """The body of PATCH /tenants/{name}: the quotas as they shall be from now on."""

    quotas: Quotas
    reason: Reason | None = None
