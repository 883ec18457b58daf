"""Clusters that wait for an admin: who asked, and what was decided.

A request holds what the cluster said of itself, none of it proved but its key; an admin who wants
to be sure compares the key's pin with what the agent shows in its cluster. Until one has approved
there is no cluster: nothing is issued, placed or readable.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from uuid import UUID

from shared.contract.errors import ErrorCode
from shared.contract.limits import APPROVAL_WINDOW
from shared.contract.page import Page
from shared.contract.registration import (
    ClusterFacts,
    Enrolment,
    EnrolmentDecision,
    EnrolmentState,
    RegisterRequest,
)
from shared.domain.errors import ArcBridgeError
from shared.identity.bootstrap import BootstrapSecret
from shared.identity.certificates import PublicKey, spki
from shared.services import audit, cursors
from shared.services.caller import Caller
from shared.services.control_plane import ControlPlane
from shared.store.json import jsonb
from shared.store.queries import load
from shared.store.transaction import Row, Transaction

_Q = load("registration")
_ACTIONS = {
    EnrolmentState.APPROVED: "enrolment.approve",
    EnrolmentState.REJECTED: "enrolment.reject",
}


def key_pin(key: PublicKey) -> str:
    """`sha256:<hex>` of a key's SubjectPublicKeyInfo: what an admin compares."""
    return f"sha256:{hashlib.sha256(spki(key)).hexdigest()}"


async def ask(
    tx: Transaction,
    secret: BootstrapSecret,
    request: RegisterRequest,
    key: PublicKey,
    cluster_id: UUID,
    preset_labels: dict[str, str],
    address: str | None,
    now: datetime,
) -> None:
    """Put a request before the admins, in the transaction that spends its token.

    Raises AlreadyExists while another one of that name waits.
    """
    tenant, name = secret.tenant, request.cluster_name
    await tx.execute(
        _Q.end_overdue, tenant=tenant, name=name, now=now, before=now - APPROVAL_WINDOW
    )
    added = await tx.one(
        _Q.ask_approval,
        tenant=tenant,
        token_id=secret.token_id,
        cluster_id=cluster_id,
        name=name,
        key_pin=key_pin(key),
        labels=jsonb({**request.labels, **preset_labels}),
        facts=jsonb(request.facts.to_wire()),
        address=address,
        now=now,
    )
    if added is None:
        raise ArcBridgeError(
            ErrorCode.ALREADY_EXISTS, f"another cluster named {name} waits for approval already"
        )
    caller = Caller(
        actor=f"cluster:{cluster_id}", tenant=tenant, cluster_id=cluster_id, address=address
    )
    await audit.append(
        tx,
        caller,
        "enrolment.request",
        f"cluster/{name}",
        data={"token": str(secret.token_id), "keyPin": key_pin(key)},
    )


async def complete(tx: Transaction, secret: BootstrapSecret, now: datetime) -> None:
    """The cluster has its certificate."""
    await tx.execute(_Q.complete_enrolment, tenant=secret.tenant, token_id=secret.token_id, now=now)


async def list_enrolments(
    cp: ControlPlane,
    caller: Caller,
    *,
    state: EnrolmentState | None = None,
    cursor: str | None = None,
    limit: int | None = None,
) -> Page[Enrolment]:
    """A page of the requests, newest first; those that nobody decided about in time are over."""
    size = cursors.page_size(limit)
    async with cp.db.tenant(caller.tenant) as tx:
        rows = await tx.all(
            _Q.list_enrolments,
            tenant=caller.tenant,
            before=cursors.decode_id(cursor),
            state=state,
            since=cp.clock() - APPROVAL_WINDOW,
            limit=size + 1,
        )
    return cursors.page(
        Page[Enrolment],
        rows,
        size,
        _enrolment,
        lambda row: cursors.encode(str(row["token_id"])),
    )


async def decide(
    cp: ControlPlane, caller: Caller, name: str, state: EnrolmentState, decision: EnrolmentDecision
) -> Enrolment:
    """Approve or reject; the same again changes nothing.

    Raises NotFound when no cluster of that name has asked, Conflict when the other was decided, or
    the request is of another key than the decision names.
    """
    now = cp.clock()
    async with cp.db.tenant(caller.tenant) as tx:
        row = await tx.one(
            _Q.lock_enrolment, tenant=caller.tenant, name=name, since=now - APPROVAL_WINDOW
        )
        if row is None:
            raise ArcBridgeError(ErrorCode.NOT_FOUND, f"no cluster named {name} waits for approval")
        if decision.key_pin not in (None, row["key_pin"]):
            raise ArcBridgeError(
                ErrorCode.CONFLICT, f"the request of {name} is of the key {row['key_pin']}"
            )
        if row["state"] == state:
            return _enrolment(row)
        if row["state"] != EnrolmentState.PENDING:
            raise ArcBridgeError(
                ErrorCode.CONFLICT,
                f"the request of {name} was {row['state'].lower()} before: it must ask again",
            )
        token = {"tenant": caller.tenant, "token_id": row["token_id"]}
        await tx.execute(
            _Q.decide_enrolment,
            **token,
            state=state,
            now=now,
            actor=caller.actor,
            reason=decision.reason,
        )
        await audit.append(
            tx,
            caller,
            _ACTIONS[state],
            f"cluster/{name}",
            message=decision.reason or "",
            data={"clusterId": str(row["cluster_id"]), "keyPin": row["key_pin"]},
        )
    decided = {"state": state, "decided_at": now, "decided_by": caller.actor}
    return _enrolment({**row, **decided, "reason": decision.reason})


def _enrolment(row: Row) -> Enrolment:
    return Enrolment(
        name=row["name"],
        cluster_id=row["cluster_id"],
        key_pin=row["key_pin"],
        labels=row["labels"],
        facts=ClusterFacts.model_validate(row["facts"]),
        address=row["address"],
        state=EnrolmentState(row["state"]),
        requested_at=row["requested_at"],
        ends_at=(row["decided_at"] or row["requested_at"]) + APPROVAL_WINDOW,
        decided_at=row["decided_at"],
        decided_by=row["decided_by"],
        reason=row["reason"],
    )
