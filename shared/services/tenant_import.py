"""Put a whole tenant in from a file, batch by batch, into one that is empty.

Every step may be repeated: a record that stands there already must be the same, byte for byte of
its content, and counts as present. The tenant is suspended from the first step on and stays so
until an operator resumes it, after the last step found everything in and the trail unbroken. A
tenant that was deleted may come back: what stands of its trail must be how the file's goes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from shared.contract.archive import (
    ArchiveKind,
    ArchiveRecord,
    ImportBatch,
    ImportedBatch,
    ImportEnd,
    ImportRequest,
    TrailEnd,
)
from shared.contract.canonical import canonical_json, digest
from shared.contract.errors import ErrorCode
from shared.contract.tenant import Tenant, TenantState
from shared.domain.errors import ArcBridgeError
from shared.services import audit, tenants
from shared.services.caller import Caller
from shared.services.hot_path import HotPath
from shared.store.errors import rows_from_outside
from shared.store.json import jsonb
from shared.store.queries import Query, load
from shared.store.transaction import Row, Transaction

_Q = load("archive")
_AUDIT = load("audit")

BATCH_SECONDS: Final = 20.0
_ADDRESSED_BY_CONTENT = (ArchiveKind.REVISIONS, ArchiveKind.RESOLVED_SPECS)


async def begin(cp: HotPath, caller: Caller, name: str, request: ImportRequest) -> Tenant:
    """Make the tenant ready to be filled by this file, or find that it is being filled.

    Raises Conflict when it holds something, or when its trail is not the file's.
    """
    del caller  # what is done here is told by the trail once it is in
    fields = {
        "tenant": name,
        "file": request.sha256,
        "quotas": jsonb(request.quotas.to_canonical()),
        "created_at": request.created_at,
    }
    async with cp.db.platform() as tx:
        await tx.execute(_Q.make_tenant, **fields)
        row = await tx.one(_Q.lock_tenant, tenant=name)
        if row is None:
            raise AssertionError("it was made, or was there")
        if row["importing"] != request.sha256:
            await _check_empty(tx, name, row)
            await _check_same_trail(tx, name, request.trail)
            await tx.execute(_Q.begin_import, **fields)
    return await tenants.get(cp, Caller.system("import", name), name)


async def _check_empty(tx: Transaction, name: str, row: Row) -> None:
    if row["importing"] is not None:
        raise _conflict(
            f"{name} is being filled from another file: go on with that one, or delete the tenant"
        )
    if row["state"] == TenantState.DELETED and not row["purged"]:
        raise _conflict(f"{name} was deleted and is being emptied: try again in a while")
    if await tx.value(_Q.holds_anything, tenant=name):
        raise _conflict(f"{name} is not empty: a file is put into an empty tenant only")


async def _check_same_trail(tx: Transaction, name: str, end: TrailEnd) -> None:
    head = await tx.one(_AUDIT.read_head, tenant=name)
    if head is None or head["sequence"] == 0:
        return
    found = await tx.value(_Q.hash_at, tenant=name, sequence=end.sequence)
    if found != end.hash:
        raise _conflict(
            f"{name} has an audit trail of its own, which the file's does not go into: "
            "let the import make the tenant"
        )


async def take(cp: HotPath, caller: Caller, name: str, batch: ImportBatch) -> ImportedBatch:
    """Put records in, in the file's order. Raises Conflict, and InvalidRequest for a bad record."""
    del caller
    added = 0
    async with cp.db.platform(seconds=BATCH_SECONDS) as tx:
        await tx.execute(_Q.in_utc)
        await _importing(tx, name, batch.sha256)
        for kind, records in _runs(batch.records):
            added += await _take(tx, name, kind, records)
    return ImportedBatch(added=added, present=len(batch.records) - added)


async def _importing(tx: Transaction, name: str, sha256: str) -> Row:
    row = await tx.one(_Q.lock_tenant, tenant=name)
    if row is None or row["importing"] != sha256:
        raise _conflict(f"{name} is not being filled from this file: begin the import first")
    return row


def _runs(records: Iterable[ArchiveRecord]) -> list[tuple[ArchiveKind, list[dict[str, Any]]]]:
    """Neighbours of one kind together, in their order."""
    runs: list[tuple[ArchiveKind, list[dict[str, Any]]]] = []
    for each in records:
        if not runs or runs[-1][0] is not each.kind:
            runs.append((each.kind, []))
        runs[-1][1].append(dict(each.record))
    return runs


async def _take(
    tx: Transaction, name: str, kind: ArchiveKind, records: Sequence[dict[str, Any]]
) -> int:
    if kind in _ADDRESSED_BY_CONTENT:
        _check_digests(kind, records)
    if kind is ArchiveKind.EVENTS:
        await _check_chain(tx, name, records)
    rows = jsonb([{**record, "tenant_id": name} for record in records])
    try:
        with rows_from_outside():
            stored = await tx.all(_statement(kind), records=rows)
    except ArcBridgeError as error:
        if error.code is not ErrorCode.ALREADY_EXISTS:
            raise
        raise _conflict(f"one of the {kind.value} stands in another tenant here") from error
    if kind is ArchiveKind.EVENTS:
        sequences = [record.get("sequence") for record in records]
        present = await tx.all(_Q.stand_events, tenant=name, sequences=sequences)
        _check_stored(kind, records, [row["record"] for row in present])
    else:
        _check_stored(kind, records, [row["record"] for row in stored])
    return sum(1 for row in stored if row["added"])


def _statement(kind: ArchiveKind) -> Query:
    query: Query = getattr(_Q, f"take_{kind.value}")
    return query


def _check_digests(kind: ArchiveKind, records: Sequence[Mapping[str, Any]]) -> None:
    for record in records:
        if digest(record.get("spec")) != record.get("digest"):
            raise _invalid(f"a spec among the {kind.value} does not have the digest it is given")


async def _check_chain(tx: Transaction, name: str, records: Sequence[dict[str, Any]]) -> None:
    """Each entry follows the one before it: of this batch, or of those that are in."""
    first = records[0].get("sequence")
    if not isinstance(first, int):
        raise _invalid("an entry of the trail has no number")
    before = await tx.value(_Q.hash_at, tenant=name, sequence=first - 1)
    if before is None and first != 1:
        raise _invalid(f"the trail goes on at {first}, and the entry before it is not in")
    sequence, last_hash = first - 1, before or ""
    for record in records:
        found = audit.flaw(_entry(record, name), sequence, last_hash)
        if found is not None:
            raise _invalid(f"the audit trail is broken: {found}")
        sequence, last_hash = sequence + 1, record["hash"]


def _entry(record: Mapping[str, Any], name: str) -> dict[str, Any]:
    """An entry as the trail knows it. Raises InvalidRequest where a field of it is missing."""
    try:
        return {
            **{field: record[field] for field in audit.HASHED},
            "at": datetime.fromisoformat(record["at"]),
            "tenant": name,
        }
    except (KeyError, TypeError, ValueError) as error:
        raise _invalid("an entry of the trail is not whole") from error


def _check_stored(
    kind: ArchiveKind, given: Sequence[Mapping[str, Any]], stored: Sequence[Mapping[str, Any]]
) -> None:
    """What stands there is what was given; what a file does not say has its default.

    A field that this release does not know cannot be stored, and is found by this, too.
    """
    standing: dict[tuple[str, ...], set[bytes]] = {}
    for record in given:
        fields = tuple(sorted(record))
        if fields not in standing:
            standing[fields] = {_essence({f: row.get(f) for f in fields}) for row in stored}
        if _essence(record) not in standing[fields]:
            raise _conflict(
                f"one of the {kind.value} stands here otherwise than in the file, or has fields "
                f"that are unknown here: {sorted(record)}"
            )


def _essence(record: Mapping[str, Any]) -> bytes:
    return canonical_json({key: value for key, value in record.items() if value is not None})


async def finish(cp: HotPath, caller: Caller, name: str, end: ImportEnd) -> Tenant:
    """Find that all of the file is in, and note it in the trail. The tenant stays suspended.

    Raises Conflict with what is missing.
    """
    async with cp.db.platform(seconds=BATCH_SECONDS) as tx:
        await _importing(tx, name, end.sha256)
        await _check_counts(tx, name, end)
        if end.trail.sequence:
            await tx.execute(
                _Q.set_head, tenant=name, sequence=end.trail.sequence, hash=end.trail.hash
            )
        await tx.execute(_Q.end_import, tenant=name)
        await audit.append(
            tx,
            Caller(
                actor=caller.actor,
                tenant=name,
                address=caller.address,
                traceparent=caller.traceparent,
            ),
            "tenant.import",
            f"tenant/{name}",
            data={"sha256": end.sha256, "trail": end.trail.to_wire()},
        )
    return await tenants.get(cp, caller, name)


async def _check_counts(tx: Transaction, name: str, end: ImportEnd) -> None:
    found = await tx.one(_Q.count_all, tenant=name, sequence=end.trail.sequence) or {}
    for kind in ArchiveKind:
        wanted = end.counts.get(kind, 0)
        if found[kind.value] != wanted:
            raise _conflict(f"{found[kind.value]} of {wanted} {kind.value} are in: send the rest")
    if end.counts.get(ArchiveKind.EVENTS, 0) != end.trail.sequence or (
        end.trail.sequence
        and await tx.value(_Q.hash_at, tenant=name, sequence=end.trail.sequence) != end.trail.hash
    ):
        raise _conflict("the trail that is in does not end as the file says")


def _conflict(detail: str) -> ArcBridgeError:
    return ArcBridgeError(ErrorCode.CONFLICT, detail)


def _invalid(detail: str) -> ArcBridgeError:
    return ArcBridgeError(ErrorCode.INVALID_REQUEST, detail)
