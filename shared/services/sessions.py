"""Sessions: which stream of a cluster counts, decided in Postgres by an epoch that only grows.

Agents are admitted in batches, because after the loss of a relay thousands come at once and one
transaction serves some hundred of them as fast as one. The relay has checked the certificate
itself; here it is compared with what is stored: known, current or new, not revoked, and its cluster
still registered. Nothing here knows of streams: who is superseded is told through `wakeups`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from shared.contract.errors import ErrorCode
from shared.contract.reasons import ReasonCode
from shared.domain.errors import ArcBridgeError
from shared.services import audit
from shared.services.caller import Caller
from shared.services.cluster_conditions import TAKEOVER_WINDOW, TAKEOVERS
from shared.services.cluster_key import ClusterKey
from shared.services.hot_path import HotPath
from shared.store.database import Database
from shared.store.queries import load
from shared.store.transaction import Row, Transaction

_Q = load("sessions")

MOST_EPOCHS = 2**62
"""More than any agent is granted; what one says it holds is no more than a claim."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Applicant:
    """A stream that asks for its cluster's next epoch."""

    key: ClusterKey
    serial: str
    """Of the certificate it presents; lower case hexadecimal."""
    instance_id: str
    held_epoch: int = 0
    """The last one it was granted; more than what is stored once the database was restored."""
    acknowledged_sequence: int = 0
    """The highest of its reports that was said to be durable."""
    agent_version: str = ""
    kubernetes_version: str = ""
    distribution: str = ""
    ca_bundle: str = ""
    """Digest of the roots that it trusts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """An epoch, and what its granting showed."""

    epoch: int
    taken_over: bool
    """Another instance was alive under the epoch before."""
    takeovers: int
    inventory_checksum: str = ""
    """Of the stored inventory; empty for none."""
    is_behind: bool = False
    """Something was released to the cluster that its agent has not reported on."""
    has_lost_reports: bool = False
    """Reports that were acknowledged are not stored: the database was restored."""

    @property
    def is_duplicate(self) -> bool:
        """True when two instances take the identity from each other."""
        return self.taken_over and self.takeovers >= TAKEOVERS


def refusal(stored: Row | None, now: datetime) -> ArcBridgeError | None:
    """Why an applicant with this stored credential may not connect; None when it may.

    Unknown, retired and foreign certificates get one answer: who holds one learns nothing.
    """
    if stored is None or stored["certificate_state"] == "Retired":
        return ArcBridgeError(ErrorCode.UNAUTHENTICATED, "the certificate is not a current one")
    if stored["certificate_state"] == "Revoked" or stored["deregistered"]:
        return ArcBridgeError(
            ErrorCode.FORBIDDEN,
            "the certificate was revoked: register again with a bootstrap token",
            reason=ReasonCode.CERTIFICATE_REVOKED,
        )
    if stored["not_after"] <= now:
        return ArcBridgeError(
            ErrorCode.UNAUTHENTICATED,
            "the certificate is past its end: register again with a bootstrap token",
            reason=ReasonCode.CERTIFICATE_EXPIRED,
        )
    if stored["tenant_state"] != "Active":
        return ArcBridgeError(
            ErrorCode.FORBIDDEN, "the tenant is suspended", reason=ReasonCode.TENANT_SUSPENDED
        )
    return None


async def grant(
    cp: HotPath, applicants: Sequence[Applicant], *, relay_id: str, alive_within: timedelta
) -> list[Grant | ArcBridgeError]:
    """The next epoch for each applicant, in their order, or why it gets none.

    At most one applicant per cluster. `alive_within`: how old the last heartbeat of the session
    before may be for its instance to count as alive. Raises Unavailable when Postgres is away.
    """
    now = cp.clock()
    async with cp.db.platform() as tx:
        stored = await _stored_credentials(tx, applicants)
        refused = {
            each.key: refusal(stored.get((each.key, each.serial)), now) for each in applicants
        }
        admitted = [each for each in applicants if refused[each.key] is None]
        granted = await _grant_epochs(tx, admitted, relay_id, now, now - alive_within)
        granted = {
            each.key: replace(
                granted[each.key],
                inventory_checksum=stored[each.key, each.serial]["inventory_checksum"],
                is_behind=stored[each.key, each.serial]["behind"],
                has_lost_reports=_has_lost_reports(each, stored[each.key, each.serial]),
            )
            for each in admitted
        }
        fresh = [a for a in admitted if stored[a.key, a.serial]["certificate_state"] == "New"]
        await _adopt(tx, fresh)
        await _mark_connected(tx, admitted, now)
    return [refused[each.key] or granted[each.key] for each in applicants]


def _has_lost_reports(applicant: Applicant, stored: Row) -> bool:
    """Whether the newest stored report is older than one that this journal had acknowledged.

    One of a later session is another journal's, whose sequences are not this one's.
    """
    same_journal: bool = stored["reported_epoch"] <= applicant.held_epoch
    return same_journal and stored["reported_sequence"] < applicant.acknowledged_sequence


async def release(cp: HotPath, ended: Mapping[ClusterKey, int], *, relay_id: str) -> None:
    """Let go of the sessions whose streams ended here: cluster -> epoch. Newer epochs stay."""
    if not ended:
        return
    async with cp.db.platform() as tx:
        await tx.execute(_Q.release, **_keys(ended), epochs=list(ended.values()), relay_id=relay_id)


async def note_bundles(cp: HotPath, held: Mapping[ClusterKey, tuple[int, str]]) -> None:
    """Cluster -> epoch and digest of the roots that its agent says it trusts. Raises Unavailable.

    Straight to Postgres: what a rotation of the CA rests on does not pass through Redis.
    """
    if not held:
        return
    async with cp.db.platform() as tx:
        await tx.execute(
            _Q.note_bundles,
            **_keys(held),
            epochs=[epoch for epoch, _ in held.values()],
            digests=[digest for _, digest in held.values()],
        )


async def note_duplicate(db: Database, key: ClusterKey, grant: Grant) -> None:
    """Put it on record that two agents use one identity; once for each time it begins.

    The cluster's condition and the open incident follow from the session's own row.
    """
    if not grant.is_duplicate or grant.takeovers > TAKEOVERS:
        return
    async with db.tenant(key.tenant) as tx:
        name = await tx.value(_Q.name_of, tenant=key.tenant, cluster=key.cluster_id)
        await audit.append(
            tx,
            Caller.system("relay", key.tenant),
            "session.duplicate",
            f"cluster/{name}",
            reason=ReasonCode.DUPLICATE_IDENTITY,
            message="two agents use this identity",
            data={"epoch": grant.epoch, "takeovers": grant.takeovers},
        )


async def changed_epochs(db: Database, epochs: Mapping[ClusterKey, int]) -> dict[ClusterKey, int]:
    """Of these sessions those that have another epoch, with that epoch; 0 where nobody knows one.

    An older one, or none, is what a restored database has: the stream has to be opened anew.
    """
    if not epochs:
        return {}
    async with db.platform() as tx:
        rows = await tx.all(_Q.find_changed_epochs, **_keys(epochs), epochs=list(epochs.values()))
    return {_key_of(row): row["epoch"] for row in rows}


async def revoked_since(db: Database, since: datetime) -> set[tuple[ClusterKey, str]]:
    """Cluster and serial of the certificates revoked since then.

    Ask with an overlap longer than a transaction lasts: `revoked_at` is when it began.
    """
    async with db.platform() as tx:
        rows = await tx.all(_Q.find_revoked, since=since)
    return {(_key_of(row), row["serial"]) for row in rows}


async def suspended_tenants(db: Database) -> frozenset[str]:
    """The tenants that may not use the service: suspended and deleted ones."""
    async with db.platform() as tx:
        rows = await tx.all(_Q.find_suspended_tenants)
    return frozenset(row["tenant_id"] for row in rows)


async def _stored_credentials(
    tx: Transaction, applicants: Sequence[Applicant]
) -> dict[tuple[ClusterKey, str], Row]:
    rows = await tx.all(
        _Q.read_credentials,
        **_keys([each.key for each in applicants]),
        serials=[each.serial for each in applicants],
    )
    return {(_key_of(row), row["serial"]): row for row in rows}


async def _grant_epochs(
    tx: Transaction,
    admitted: Sequence[Applicant],
    relay_id: str,
    now: datetime,
    alive_since: datetime,
) -> dict[ClusterKey, Grant]:
    if not admitted:
        return {}
    rows = await tx.all(
        _Q.grant_epochs,
        **_keys([each.key for each in admitted]),
        instances=[each.instance_id for each in admitted],
        ca_bundles=[each.ca_bundle for each in admitted],
        held=[min(each.held_epoch, MOST_EPOCHS) for each in admitted],
        relay_id=relay_id,
        now=now,
        alive_since=alive_since,
        window_start=now - TAKEOVER_WINDOW,
    )
    return {
        _key_of(row): Grant(
            epoch=row["epoch"], taken_over=row["taken_over"], takeovers=row["takeovers"]
        )
        for row in rows
    }


async def _adopt(tx: Transaction, fresh: Sequence[Applicant]) -> None:
    if fresh:
        await tx.execute(
            _Q.adopt_new_certificates,
            **_keys([each.key for each in fresh]),
            serials=[each.serial for each in fresh],
        )


async def _mark_connected(tx: Transaction, admitted: Sequence[Applicant], now: datetime) -> None:
    if admitted:
        await tx.execute(
            _Q.mark_connected,
            **_keys([each.key for each in admitted]),
            agent_versions=[each.agent_version for each in admitted],
            kubernetes_versions=[each.kubernetes_version for each in admitted],
            distributions=[each.distribution for each in admitted],
            now=now,
        )


def _keys(keys: Sequence[ClusterKey] | Mapping[ClusterKey, Any]) -> dict[str, list[Any]]:
    return {
        "tenants": [key.tenant for key in keys],
        "clusters": [key.cluster_id for key in keys],
    }


def _key_of(row: Row) -> ClusterKey:
    return ClusterKey(row["tenant_id"], row["cluster_id"])
