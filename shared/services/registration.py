"""A cluster joins: a bootstrap token and a certificate request become an identity.

Three steps, because the issuing CA may be a network call and no transaction waits for one:
1. claim: the token's row is locked and the token spent on this key, for a cluster id;
2. issue: the CA signs;
3. settle: cluster, certificate and audit entry are stored.
Whoever holds the same key may repeat the call for ten minutes and gets the same answer, also when
the first try died between the steps. Everyone else with a spent, expired, revoked, foreign or
invented token gets one and the same refusal. With a token that needs approval the first step ends
in a request that an admin decides about (`enrolments`): nothing is issued before, and the agent
asks again with the same key.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from shared.contract.errors import ErrorCode
from shared.contract.limits import (
    APPROVAL_RETRY_SECONDS,
    APPROVAL_WINDOW,
    REGISTER_REPEAT_WINDOW,
)
from shared.contract.registration import (
    AgentSettings,
    EnrolmentState,
    RegisterRequest,
    RegisterResponse,
)
from shared.domain.errors import ArcBridgeError
from shared.identity import bootstrap, csr
from shared.identity.bootstrap import BootstrapSecret
from shared.identity.certificates import IssuedCertificate, PublicKey, spki
from shared.identity.spiffe import SpiffeId
from shared.identity.trust import Generation, Trust
from shared.services import (
    audit,
    certificates,
    enrolments,
    ids,
    placement,
    quotas,
    rate_limit,
)
from shared.services.caller import Caller
from shared.services.control_plane import ControlPlane
from shared.store.json import jsonb
from shared.store.queries import load
from shared.store.transaction import Row, Transaction
from shared.telemetry.logs import get_logger

_Q = load("registration")
_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Claim:
    """A token spent on a key."""

    cluster_id: UUID
    preset_labels: dict[str, str]
    ca: str
    """The generation of the CA whose root the agent was shown: only that one convinces it."""
    enrolment: EnrolmentState | None
    """Where an admin's approval is needed: what was decided."""


async def register(
    cp: ControlPlane,
    request: RegisterRequest,
    *,
    address: str | None = None,
    traceparent: str | None = None,
) -> RegisterResponse:
    """A certificate for the key of the request. Raises RegistrationRefused, InvalidRequest,
    AlreadyExists (the name is taken and the token is not bound to it), QuotaExceeded,
    PendingApproval, RateLimited."""
    await cp.limits.check(rate_limit.REGISTER, rate_limit.address_subject(address))
    secret = bootstrap.parse(request.token)
    if secret is None:
        raise _refused(address, "not a token")
    key = csr.public_key_of(request.csr)
    claim = await _claim(cp, secret, request, key, address)
    if claim.enrolment is EnrolmentState.PENDING:
        raise ArcBridgeError(
            ErrorCode.PENDING_APPROVAL,
            f"an admin must approve it: arcbridge cluster approve {request.cluster_name}"
            f" --key {enrolments.key_pin(key)}",
            retry_after=APPROVAL_RETRY_SECONDS,
        )
    caller = Caller(
        actor=f"cluster:{claim.cluster_id}",
        tenant=secret.tenant,
        cluster_id=claim.cluster_id,
        address=address,
        traceparent=traceparent,
    )
    identity = SpiffeId(cp.trust_domain, secret.tenant, claim.cluster_id)
    trust = await cp.ca.trust()
    signer = trust.find(claim.ca) or trust.issuing
    issued = await cp.ca.issue_agent(signer, key, identity)
    held = await _settle(cp, caller, secret, request, claim, signer, issued)
    return _answer(cp, trust, secret.tenant, request.cluster_name, claim.cluster_id, held)


async def _claim(
    cp: ControlPlane,
    secret: BootstrapSecret,
    request: RegisterRequest,
    key: PublicKey,
    address: str | None,
) -> Claim:
    now = cp.clock()
    async with cp.db.tenant(secret.tenant, crowded=True) as tx:
        token = await tx.one(_Q.lock_token, tenant=secret.tenant, token_id=secret.token_id)
        flaw = _flaw(token, secret, request.cluster_name, spki(key), now)
        if token is None or flaw is not None:
            raise _refused(address, flaw or "unknown")
        if token["used_cluster"] is not None:
            await _check_still_free(tx, secret.tenant, request.cluster_name, token, now)
            state = token["enrolment"]
            decided = None if state is None else EnrolmentState(state)
            return Claim(token["used_cluster"], token["labels"], token["ca"], decided)
        cluster_id = await _cluster_id(tx, secret.tenant, request.cluster_name, token, now)
        await tx.execute(
            _Q.use_token,
            tenant=secret.tenant,
            token_id=secret.token_id,
            now=now,
            used_key=spki(key),
            cluster_id=cluster_id,
        )
        if not token["approval"]:
            return Claim(cluster_id, token["labels"], token["ca"], None)
        await enrolments.ask(tx, secret, request, key, cluster_id, token["labels"], address, now)
        return Claim(cluster_id, token["labels"], token["ca"], EnrolmentState.PENDING)


def _flaw(
    token: Row | None, secret: BootstrapSecret, name: str, key: bytes, now: datetime
) -> str | None:
    """Why a token is refused, for our log; None when it holds for this name and key."""
    if token is None or not secret.matches(token["secret_sha256"]):
        return "unknown"
    if token["revoked_at"] is not None:
        return "revoked"
    if token["cluster_name"] not in (None, name):
        return "bound to another cluster"
    if token["used_at"] is not None:
        return None if token["used_key"] == key and _may_repeat(token, now) else "used"
    return "expired" if now >= token["expires_at"] else None


def _may_repeat(token: Row, now: datetime) -> bool:
    """Whether a spent token may be shown again by whoever has its key."""
    asked = token["enrolment"]
    if asked is None or token["completed_at"] is not None:
        return bool(now - (token["completed_at"] or token["used_at"]) <= REGISTER_REPEAT_WINDOW)
    if asked == EnrolmentState.REJECTED:
        return False
    since = token["requested_at"] if asked == EnrolmentState.PENDING else token["decided_at"]
    return bool(now - since <= APPROVAL_WINDOW)


async def _check_still_free(
    tx: Transaction, tenant: str, name: str, token: Row, now: datetime
) -> None:
    """The name and a place in the quota, of one that waited for an admin, are not kept for it."""
    if token["enrolment"] != EnrolmentState.APPROVED or token["completed_at"] is not None:
        return
    known = await tx.one(_Q.find_by_name, tenant=tenant, name=name)
    if known is None or (known["deregistered"] and known["cluster_id"] != token["used_cluster"]):
        await quotas.check_new_cluster(tx, tenant, now)
    elif known["cluster_id"] != token["used_cluster"]:
        raise ArcBridgeError(
            ErrorCode.ALREADY_EXISTS, f"another cluster named {name} has joined meanwhile"
        )


async def _cluster_id(tx: Transaction, tenant: str, name: str, token: Row, now: datetime) -> UUID:
    """The identity to register under: a known one only with a token that is bound to its name."""
    known = await tx.one(_Q.find_by_name, tenant=tenant, name=name)
    if known is None:
        await quotas.check_new_cluster(tx, tenant, now)
        return ids.new_id()
    if token["cluster_name"] == name:
        cluster_id: UUID = known["cluster_id"]
        return cluster_id
    if known["deregistered"]:
        await quotas.check_new_cluster(tx, tenant, now)
        return ids.new_id()
    raise ArcBridgeError(
        ErrorCode.ALREADY_EXISTS,
        f"there is a cluster named {name} already: to register it again, make a bootstrap token"
        " that is bound to this name",
    )


async def _settle(
    cp: ControlPlane,
    caller: Caller,
    secret: BootstrapSecret,
    request: RegisterRequest,
    claim: Claim,
    signer: Generation,
    issued: IssuedCertificate,
) -> IssuedCertificate:
    """Store the certificate; of two that raced, the stored one counts for both."""
    async with cp.db.tenant(caller.tenant, crowded=True) as tx:
        await tx.one(_Q.lock_token, tenant=caller.tenant, token_id=secret.token_id)
        held = await certificates.held_by(tx, caller.tenant, claim.cluster_id, issued.public_key)
        if held is not None:
            return dataclasses.replace(issued, **held)
        again = await _store_cluster(tx, caller, request, claim, cp.clock())
        await certificates.replace_all(
            tx, caller.tenant, claim.cluster_id, signer, issued, cp.clock()
        )
        await placement.reconsider(tx, caller.tenant, claim.cluster_id)
        if claim.enrolment is not None:
            await enrolments.complete(tx, secret, cp.clock())
        await audit.append(
            tx,
            caller,
            "cluster.register-again" if again else "cluster.register",
            f"cluster/{request.cluster_name}",
            data={
                "clusterId": str(claim.cluster_id),
                "token": str(secret.token_id),
                "serial": issued.serial,
                "facts": request.facts.to_wire(),
            },
        )
    _log.info("cluster registered", cluster=request.cluster_name, again=again)
    return issued


async def _store_cluster(
    tx: Transaction, caller: Caller, request: RegisterRequest, claim: Claim, now: datetime
) -> bool:
    """Add the cluster, or renew the one that has the id; True for the latter."""
    facts = request.facts
    params = {
        "tenant": caller.tenant,
        "cluster_id": claim.cluster_id,
        "kubernetes_version": facts.kubernetes_version,
        "distribution": facts.distribution,
        "agent_version": facts.agent_version,
        "cluster_uid": facts.cluster_uid,
        "now": now,
    }
    again = await tx.execute(
        _Q.renew_cluster,
        **params,
        requested=jsonb(request.labels),
        preset=jsonb(claim.preset_labels),
    )
    if not again:
        labels = {**request.labels, **claim.preset_labels}
        await tx.execute(_Q.add_cluster, **params, name=request.cluster_name, labels=jsonb(labels))
    await tx.execute(_Q.add_session, tenant=caller.tenant, cluster_id=claim.cluster_id)
    return bool(again)


def _answer(
    cp: ControlPlane,
    trust: Trust,
    tenant: str,
    name: str,
    cluster_id: UUID,
    held: IssuedCertificate,
) -> RegisterResponse:
    return RegisterResponse(
        cluster_id=cluster_id,
        tenant=tenant,
        cluster_name=name,
        certificate_chain=held.pem_chain,
        ca_bundle=trust.bundle,
        not_after=held.not_after,
        serial=held.serial,
        relay_address=cp.settings.relay_address,
        audience=cp.settings.control_plane_url,
        settings=AgentSettings(
            heartbeat_seconds=cp.settings.heartbeat_seconds, poll_seconds=cp.settings.poll_seconds
        ),
    )


def _refused(address: str | None, why: str) -> ArcBridgeError:
    """The one answer; only our log says why."""
    _log.warning("registration refused", why=why, address=address)
    return ArcBridgeError(
        ErrorCode.REGISTRATION_REFUSED,
        "the bootstrap token does not hold: ask for a new one, for this cluster's name",
    )
