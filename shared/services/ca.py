"""The CA for the platform's operators: how it stands, the start of a rotation, and its abort.

Whoever may do this sees numbers of tenants and ids of their clusters, nothing inside of them. What
they do stands in the trail of the tenant they belong to.
"""

from __future__ import annotations

from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec

from shared.contract.ca import (
    CaAbortRequest,
    CaGeneration,
    CaRelay,
    CaRotateRequest,
    CaState,
    CaStatus,
    CaStraggler,
)
from shared.contract.errors import ErrorCode, FieldError
from shared.domain.errors import ArcBridgeError
from shared.identity.issuer import Authority
from shared.identity.keyring import Offer
from shared.identity.rotation import ACTIVATE_LEFT
from shared.identity.trust import Trust, authority_of
from shared.services import audit, ca_rotation
from shared.services.ca_rotation import Picture
from shared.services.caller import Caller
from shared.services.control_plane import ControlPlane
from shared.store.queries import load
from shared.store.transaction import Row
from shared.telemetry.logs import get_logger

_Q = load("ca")
_log = get_logger(__name__)

STRAGGLERS_SHOWN = 50
PROOF_NAME = "proof.invalid"


async def status(cp: ControlPlane, caller: Caller) -> CaStatus:
    """How the CA and its rotation stand."""
    del caller  # who may ask is settled; every one of them sees the same
    picture = await ca_rotation.look(cp)
    async with cp.db.platform() as tx:
        late = await tx.all(
            _Q.stragglers,
            digest=picture.trust.digest,
            newest=picture.newest,
            now=cp.clock(),
            limit=STRAGGLERS_SHOWN,
        )
    return _status(picture, late)


async def rotate(cp: ControlPlane, caller: Caller, request: CaRotateRequest) -> CaStatus:
    """Prepare the next generation, unless one is; with an override, let it go on without the
    clusters that are offline. Then take what steps can be taken.

    Asked again it changes nothing. Raises InvalidRequest for a chain that does not hold or whose
    key does not sign, Conflict while another rotation is under way or there is nothing to rotate
    to, Unavailable when the key does not answer.
    """
    trust = await cp.ca.trust()
    prepared = next((g for g in trust.generations if g.state is CaState.PREPARED), None)
    named = _named(request)
    if prepared is not None and named is not None and named.id != prepared.id:
        raise ArcBridgeError(
            ErrorCode.CONFLICT, f"generation {prepared.id} is prepared already: let it come first"
        )
    if prepared is None and (named is None or trust.find(named.id) is None):
        await _prepare(cp, caller, trust, named, request.reason)
    if request.override_offline:
        await _override(cp, caller, request.reason or "")
    await ca_rotation.sweep(cp)
    return await status(cp, caller)


async def abort(cp: ControlPlane, caller: Caller, request: CaAbortRequest) -> CaStatus:
    """Take a generation back that is prepared and has issued nothing: nobody trusts it any more.

    Asked again for the same generation it changes nothing. Raises Conflict for one that issues
    already, or did: clusters may hold certificates of it. NotFound for one that nobody knows.
    """
    async with cp.db.platform() as tx:
        aborted = await tx.one(_Q.abort, generation_id=request.generation, now=cp.clock())
        if aborted is None:
            _settled(await tx.all(_Q.stages), request.generation)
        else:
            subject = f"ca/{aborted['generation_id']}"
            await audit.append(tx, caller, "ca.abort", subject, message=request.reason)
    if aborted is not None:
        _log.info("ca generation aborted", generation=aborted["generation_id"])
    return await status(cp, caller)


def _settled(rows: list[Row], generation: str | None) -> None:
    """Nothing was aborted. Raises the reason, unless it is that this was done before."""
    issuing = next(row for row in rows if row["state"] == CaState.ISSUING)
    if generation is None:
        if any(row["state"] == CaState.RETIRING for row in rows):
            raise _issues(issuing["generation_id"])
        raise ArcBridgeError(
            ErrorCode.CONFLICT, "no generation is prepared: there is nothing to abort"
        )
    row = next((each for each in rows if each["generation_id"] == generation), None)
    if row is None:
        raise ArcBridgeError(ErrorCode.NOT_FOUND, f"there is no generation {generation}")
    if row["issuing_at"] is not None:
        if row["state"] == CaState.ISSUING:
            raise _issues(generation)
        raise ArcBridgeError(
            ErrorCode.CONFLICT, f"generation {generation} has issued and was followed already"
        )


def _issues(generation: str) -> ArcBridgeError:
    return ArcBridgeError(
        ErrorCode.CONFLICT,
        f"generation {generation} issues already, and clusters may hold certificates of it: let"
        " the rotation end (GET /ca says what it waits for), then rotate to another generation",
    )


def _named(request: CaRotateRequest) -> Offer | None:
    if request.chain is None:
        return None
    try:
        return Offer(authority_of(request.chain), request.key_id)
    except ValueError as error:
        raise _bad_chain("it is no PEM of an issuing certificate and its root") from error


async def _prepare(
    cp: ControlPlane, caller: Caller, trust: Trust, named: Offer | None, reason: str | None
) -> None:
    if trust.issuing.serves_since is None:
        raise ArcBridgeError(
            ErrorCode.CONFLICT, "the rotation before is under way: the relays do not serve it yet"
        )
    async with cp.db.platform() as tx:
        rows = await tx.all(_Q.list, now=cp.clock(), removed_after=datetime.min.replace(tzinfo=UTC))
    offer = named or _unknown_offer(cp, {row["generation_id"] for row in rows})
    if any(row["generation_id"] == offer.id for row in rows):
        raise ArcBridgeError(ErrorCode.CONFLICT, f"generation {offer.id} was removed: make another")
    check_chain(offer.authority, cp.clock())
    await _prove(cp, offer)
    async with cp.db.platform() as tx:
        if await ca_rotation.add_prepared(cp, tx, offer, caller):
            await audit.append(
                tx,
                caller,
                "ca.prepare",
                f"ca/{offer.id}",
                message=reason or "",
                data={
                    "notAfter": offer.authority.issuing.not_valid_after_utc.isoformat(),
                    "pin": offer.authority.pin,
                    "keyId": offer.key_id,
                },
            )


def _unknown_offer(cp: ControlPlane, known: set[str]) -> Offer:
    """The newest generation that this process could sign for and nobody knows yet; or a new one."""
    unknown = [offer for offer in cp.ca.keyring.offers() if offer.id not in known]
    offer = unknown[-1] if unknown else cp.ca.keyring.make()
    if offer is None:
        raise ArcBridgeError(
            ErrorCode.CONFLICT,
            "there is no CA to rotate to: certify a new key and name its chain and key id"
            " (docs/runbooks/platform/CaRotationDue.md)",
        )
    return offer


def check_chain(authority: Authority, now: datetime) -> None:
    """Whether these certificates can be a generation. Raises InvalidRequest."""
    issuing, root = authority.issuing, authority.roots[0]
    if issuing in authority.roots:
        raise _bad_chain("the root must not issue by itself")
    for each in (issuing, *authority.roots):
        if not _is_ca(each) or not each.not_valid_before_utc <= now < each.not_valid_after_utc:
            raise _bad_chain("a certificate of it is no CA's, or not valid now")
    try:
        issuing.verify_directly_issued_by(root)
        for each in authority.roots:
            each.verify_directly_issued_by(each)
    except (ValueError, TypeError, InvalidSignature) as error:
        raise _bad_chain("its first certificate is not issued by the root after it") from error
    if issuing.not_valid_after_utc - now <= ACTIVATE_LEFT:
        raise _bad_chain("it ends within a week")
    if not isinstance(issuing.public_key(), ec.EllipticCurvePublicKey):
        raise _bad_chain("its key is not of an elliptic curve")


def _is_ca(certificate: x509.Certificate) -> bool:
    try:
        found = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except (x509.ExtensionNotFound, ValueError):
        return False
    return found.value.ca


async def _prove(cp: ControlPlane, offer: Offer) -> None:
    """Have something signed, so that nothing is prepared whose key is another or not there."""
    key = ec.generate_private_key(ec.SECP256R1())
    proof = await cp.ca.keyring.issuer(offer).issue_server(
        key.public_key(), host_names=(PROOF_NAME,), now=cp.clock()
    )
    leaf = x509.load_pem_x509_certificates(proof.pem_chain.encode())[0]
    try:
        leaf.verify_directly_issued_by(offer.authority.issuing)
    except InvalidSignature as error:
        raise _bad_chain("the key that it names is not the one that it certifies") from error


async def _override(cp: ControlPlane, caller: Caller, reason: str) -> None:
    picture = await ca_rotation.look(cp)
    prepared = picture.facts.one(CaState.PREPARED)
    if prepared is None:
        return
    async with cp.db.platform() as tx:
        changed = await tx.one(_Q.override, generation_id=prepared.id, actor=caller.actor)
        if changed is not None:
            await audit.append(
                tx,
                caller,
                "ca.override-offline",
                f"ca/{prepared.id}",
                message=reason,
                data={"offline": picture.facts.holders.pending_offline},
            )


def _status(picture: Picture, late: list[Row]) -> CaStatus:
    under_way = len(picture.facts.generations) > 1
    return CaStatus(
        generations=tuple(_generation(row) for row in picture.rows),
        bundle_digest=picture.trust.digest,
        acknowledged=picture.facts.holders.acknowledged,
        pending=picture.facts.holders.pending,
        stragglers=tuple(
            CaStraggler(
                tenant=row["tenant_id"],
                cluster_id=row["cluster_id"],
                connected=row["connected"],
                last_heartbeat=row["last_heartbeat"],
            )
            for row in late
        ),
        relays=tuple(
            CaRelay(
                name=row["relay_id"],
                trusts=tuple(row["trusts"]),
                serves=row["serves"],
                seen_at=row["seen_at"],
            )
            for row in picture.relays
        ),
        waiting_for=picture.decision.waiting_for if under_way else (),
    )


def _generation(row: Row) -> CaGeneration:
    authority = authority_of(row["chain"])
    return CaGeneration(
        id=row["generation_id"],
        state=CaState(row["state"]),
        not_before=authority.issuing.not_valid_before_utc,
        not_after=row["not_after"],
        root_not_after=authority.roots[0].not_valid_after_utc,
        pin=row["pin"],
        serves=row["serves_since"] is not None,
        live_certificates=row["certificates"],
        prepared_at=row["prepared_at"],
        issuing_at=row["issuing_at"],
        retiring_at=row["retiring_at"],
        removed_at=row["removed_at"],
        overridden_by=row["overridden_by"],
    )


def _bad_chain(why: str) -> ArcBridgeError:
    return ArcBridgeError(
        ErrorCode.INVALID_REQUEST,
        f"the chain is refused: {why}",
        errors=(FieldError(field="chain", message=why),),
    )
