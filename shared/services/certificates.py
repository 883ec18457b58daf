"""The clusters' certificates in the store: renewed, looked up, revoked.

At most two are good at once: the current one, and a new one until it is first seen in use; then the
old one is retired. A serial that is neither is refused, so a key stolen long ago is of no use.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from shared.contract.errors import ErrorCode
from shared.contract.reasons import ReasonCode
from shared.domain.errors import ArcBridgeError
from shared.identity import csr as requests
from shared.identity.certificates import IssuedCertificate, spki
from shared.identity.spiffe import SpiffeId
from shared.identity.trust import Generation, Trust
from shared.services import audit, rate_limit
from shared.services.authority import CertificateAuthority
from shared.services.caller import Caller
from shared.services.rate_limit import RateLimiter
from shared.store.database import Database
from shared.store.queries import load
from shared.store.transaction import Transaction

_Q = load("certificates")


class Issuance(Protocol):
    """What certificates need of their owner; `ControlPlane` and the relay's resources are ones."""

    @property
    def db(self) -> Database: ...

    @property
    def clock(self) -> Callable[[], datetime]:
        """The current time in UTC."""
        ...

    @property
    def ca(self) -> CertificateAuthority: ...

    @property
    def limits(self) -> RateLimiter: ...

    @property
    def trust_domain(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Renewed:
    """The answer to a renewal."""

    serial: str
    certificate_chain: str
    """PEM, leaf first."""
    ca_bundle: str
    not_after: datetime


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose certificate it is."""

    tenant: str
    cluster_id: UUID
    cluster_name: str
    serial: str
    public_key: bytes
    """SubjectPublicKeyInfo, DER."""
    is_new: bool
    """Issued, and not yet seen in use."""


async def renew(
    cp: Issuance, *, tenant: str, cluster_id: UUID, csr: str, presented_serial: str
) -> Renewed:
    """A new certificate for a new key, over a stream that the current certificate opened.

    The same key again gets the same certificate, so a lost answer costs nothing. Raises
    InvalidRequest for the CSR, Unauthenticated when the presented serial is no longer good,
    RateLimited for more than one a minute, Unavailable when the CA cannot sign now.
    """
    key = requests.public_key_of(csr)
    public_key = spki(key)
    async with cp.db.tenant(tenant) as tx:
        held = await held_by(tx, tenant, cluster_id, public_key)
    trust = await cp.ca.trust()
    if held is not None:
        return _renewed(trust, held)
    await cp.limits.check(rate_limit.RENEW, f"{tenant}/{cluster_id}")
    identity = SpiffeId(cp.trust_domain, tenant, cluster_id)
    issued = await cp.ca.issue_agent(trust.issuing, key, identity)
    async with cp.db.tenant(tenant) as tx:
        cluster = await tx.one(_Q.lock_cluster, tenant=tenant, cluster_id=cluster_id)
        stored = await tx.one(
            _Q.state_of, tenant=tenant, cluster_id=cluster_id, serial=presented_serial
        )
        if (
            cluster is None
            or cluster["deregistered"]
            or stored is None
            or stored["state"] not in ("New", "Current")
        ):
            raise ArcBridgeError(ErrorCode.UNAUTHENTICATED, "the certificate is not a current one")
        held = await held_by(tx, tenant, cluster_id, public_key)
        if held is not None:
            return _renewed(trust, held)
        await tx.execute(_Q.retire_unseen, tenant=tenant, cluster_id=cluster_id)
        if stored["state"] == "New":
            # It renews with a certificate of which we had not yet noticed that it is in use.
            await tx.execute(
                _Q.reinstate, tenant=tenant, cluster_id=cluster_id, serial=presented_serial
            )
        await _add(tx, tenant, cluster_id, trust.issuing, issued, "New", cp.clock())
        await audit.append(
            tx,
            Caller(actor=f"cluster:{cluster_id}", tenant=tenant, cluster_id=cluster_id),
            "certificate.renew",
            f"cluster/{cluster['name']}",
            data={"serial": issued.serial, "before": presented_serial},
        )
    return Renewed(issued.serial, issued.pem_chain, trust.bundle, issued.not_after)


async def find(cp: Issuance, sha256: str) -> Holder:
    """Whose certificate has this thumbprint (`x5t#S256`), when it may be used now.

    The tenant comes from the certificate's own row. A thumbprint is no secret: whoever named it
    must still prove the key. Raises Unauthenticated; Forbidden when the tenant is suspended.
    """
    async with cp.db.platform() as tx:
        row = await tx.one(_Q.find_by_thumbprint, sha256=sha256)
    if row is None or row["state"] == "Retired":
        raise ArcBridgeError(ErrorCode.UNAUTHENTICATED, "the certificate is not a current one")
    if row["state"] == "Revoked" or row["deregistered"]:
        raise ArcBridgeError(
            ErrorCode.UNAUTHENTICATED,
            "the certificate was revoked: register again with a bootstrap token",
            reason=ReasonCode.CERTIFICATE_REVOKED,
        )
    if cp.clock() >= row["not_after"]:
        raise ArcBridgeError(
            ErrorCode.UNAUTHENTICATED,
            "the certificate is past its end: register again with a bootstrap token",
            reason=ReasonCode.CERTIFICATE_EXPIRED,
        )
    if row["tenant_state"] != "Active":
        raise ArcBridgeError(ErrorCode.FORBIDDEN, "the tenant is suspended")
    return Holder(
        tenant=row["tenant_id"],
        cluster_id=row["cluster_id"],
        cluster_name=row["cluster_name"],
        serial=row["serial"],
        public_key=row["public_key"],
        is_new=row["state"] == "New",
    )


async def seen(tx: Transaction, tenant: str, cluster_id: UUID, serial: str) -> None:
    """A new certificate is in use: it is the current one now, and the one before is retired."""
    await tx.execute(_Q.seen, tenant=tenant, cluster_id=cluster_id, serial=serial)


async def revoke(
    tx: Transaction, caller: Caller, cluster_id: UUID, now: datetime
) -> tuple[str, ...]:
    """Revoke all that the cluster holds, and tell the relays; the serials that were good."""
    rows = await tx.all(_Q.revoke_all, tenant=caller.tenant, cluster_id=cluster_id, now=now)
    await tx.execute(_Q.mark_revoked, tenant=caller.tenant, cluster_id=cluster_id, now=now)
    await tx.execute(
        _Q.announce, tenant=caller.tenant, cluster_id=cluster_id, traceparent=caller.traceparent
    )
    return tuple(row["serial"] for row in rows)


async def held_by(
    tx: Transaction, tenant: str, cluster_id: UUID, public_key: bytes
) -> dict[str, Any] | None:
    """`serial`, `pem_chain` and `not_after` of the good certificate that a key has here."""
    return await tx.one(_Q.find_by_key, tenant=tenant, cluster_id=cluster_id, public_key=public_key)


async def replace_all(
    tx: Transaction,
    tenant: str,
    cluster_id: UUID,
    signer: Generation,
    issued: IssuedCertificate,
    now: datetime,
) -> None:
    """The certificate of a registration: the only good one from now on."""
    await tx.execute(_Q.retire_all, tenant=tenant, cluster_id=cluster_id)
    await _add(tx, tenant, cluster_id, signer, issued, "Current", now)


async def _add(
    tx: Transaction,
    tenant: str,
    cluster_id: UUID,
    signer: Generation,
    issued: IssuedCertificate,
    state: str,
    now: datetime,
) -> None:
    added = await tx.execute(
        _Q.add,
        tenant=tenant,
        cluster_id=cluster_id,
        serial=issued.serial,
        sha256=issued.sha256,
        public_key=issued.public_key,
        pem_chain=issued.pem_chain,
        ca=signer.id,
        state=state,
        not_before=issued.not_before,
        not_after=issued.not_after,
        now=now,
    )
    if not added:
        raise ArcBridgeError(
            ErrorCode.UNAVAILABLE, "the CA that signed it was removed: try again", retry_after=1.0
        )


def _renewed(trust: Trust, held: dict[str, Any]) -> Renewed:
    return Renewed(held["serial"], held["pem_chain"], trust.bundle, held["not_after"])
