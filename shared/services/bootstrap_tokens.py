"""Bootstrap tokens: what a new cluster registers with, once. Shown at their creation only."""

from __future__ import annotations

import secrets
from uuid import UUID

from shared.contract.errors import ErrorCode
from shared.contract.page import Page
from shared.contract.registration import (
    BootstrapToken,
    BootstrapTokenRequest,
    CreatedBootstrapToken,
)
from shared.domain.errors import ArcBridgeError
from shared.identity import bootstrap
from shared.services import audit, cursors, ids
from shared.services.caller import Caller
from shared.services.control_plane import ControlPlane
from shared.store.json import jsonb
from shared.store.queries import load
from shared.store.transaction import Row

_Q = load("registration")


async def create(
    cp: ControlPlane, caller: Caller, request: BootstrapTokenRequest
) -> CreatedBootstrapToken:
    """A token for one registration. Its text is in the answer and nowhere else."""
    now = cp.clock()
    issuing = (await cp.ca.trust()).issuing
    secret = bootstrap.make(
        caller.tenant, ids.new_id(), secrets.token_bytes(bootstrap.SECRET_BYTES)
    )
    token = CreatedBootstrapToken(
        id=secret.token_id,
        cluster_name=request.cluster_name,
        labels=request.labels,
        approval=request.approval,
        created_by=caller.actor,
        created_at=now,
        expires_at=now + request.lifetime,
        token=secret.text,
        ca_pin=issuing.authority.pin,
    )
    async with cp.db.tenant(caller.tenant) as tx:
        await tx.execute(
            _Q.add_token,
            tenant=caller.tenant,
            token_id=token.id,
            secret_sha256=secret.sha256,
            ca=issuing.id,
            cluster_name=token.cluster_name,
            labels=jsonb(token.labels),
            approval=token.approval,
            created_by=token.created_by,
            created_at=now,
            expires_at=token.expires_at,
        )
        await audit.append(
            tx,
            caller,
            "bootstrap-token.create",
            f"bootstrap-token/{token.id}",
            data={
                "clusterName": token.cluster_name,
                "expiresAt": token.expires_at.isoformat(),
                "approval": token.approval,
            },
        )
    return token


async def list_tokens(
    cp: ControlPlane, caller: Caller, *, cursor: str | None = None, limit: int | None = None
) -> Page[BootstrapToken]:
    """A page of the tenant's tokens, newest first, without their secrets."""
    size = cursors.page_size(limit)
    after = cursors.decode_id(cursor)
    async with cp.db.tenant(caller.tenant) as tx:
        rows = await tx.all(_Q.list_tokens, tenant=caller.tenant, before=after, limit=size + 1)
    return cursors.page(
        Page[BootstrapToken],
        rows,
        size,
        _token,
        lambda row: cursors.encode(str(row["token_id"])),
    )


async def revoke(cp: ControlPlane, caller: Caller, token_id: UUID) -> None:
    """Make a token useless. What it was used for already stays."""
    async with cp.db.tenant(caller.tenant) as tx:
        row = await tx.one(_Q.revoke_token, tenant=caller.tenant, token_id=token_id, now=cp.clock())
        if row is None:
            raise ArcBridgeError(ErrorCode.NOT_FOUND, "there is no such bootstrap token")
        await audit.append(
            tx,
            caller,
            "bootstrap-token.revoke",
            f"bootstrap-token/{token_id}",
            data={"clusterName": row["cluster_name"]},
        )


def _token(row: Row) -> BootstrapToken:
    return BootstrapToken(
        id=row["token_id"],
        cluster_name=row["cluster_name"],
        labels=row["labels"],
        approval=row["approval"],
        created_by=row["created_by"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        used_at=row["used_at"],
        used_by_cluster=row["used_by_cluster"],
        revoked_at=row["revoked_at"],
    )
