"""The tenant's artifact policy: set by its admins, asked at every publish."""

from __future__ import annotations

from shared.contract.artifact_policy import ArtifactPolicy, ArtifactPolicySpec
from shared.contract.errors import ErrorCode, FieldError
from shared.contract.source import Source
from shared.domain.errors import ArcBridgeError
from shared.services import audit
from shared.services.caller import Caller
from shared.services.hot_path import HotPath
from shared.services.preconditions import check_version, hold
from shared.store.json import jsonb
from shared.store.queries import load
from shared.store.transaction import Row, Transaction

_Q = load("artifact_policies")
_SUBJECT = "artifact-policy"


async def get(cp: HotPath, caller: Caller) -> ArtifactPolicy:
    """The tenant's policy; without one, the one that allows everything."""
    async with cp.db.tenant(caller.tenant) as tx:
        return _policy(await tx.one(_Q.read, tenant=caller.tenant))


async def put(
    cp: HotPath, caller: Caller, spec: ArtifactPolicySpec, if_match: str | None
) -> ArtifactPolicy:
    """Set it; what is said already changes nothing. Raises PreconditionFailed."""
    async with cp.db.tenant(caller.tenant) as tx:
        await hold(tx, caller.tenant, _SUBJECT)
        row = await tx.one(_Q.read, tenant=caller.tenant)
        before = _policy(row)
        check_version(if_match, int(before.etag))
        if row is not None and _spec(row) == spec:
            return before
        stored = await tx.one(
            _Q.put,
            tenant=caller.tenant,
            spec=jsonb(spec.to_canonical()),
            actor=caller.actor,
            now=cp.clock(),
        )
        await audit.append(
            tx,
            caller,
            "artifact-policy.set",
            _SUBJECT,
            message=spec.reason or "",
            data={"before": _spec(row).to_wire() if row else None, "after": spec.to_wire()},
        )
        return _policy(stored)


async def check(tx: Transaction, tenant: str, source: Source) -> None:
    """Raises PolicyViolated for a source that the tenant's policy does not allow."""
    row = await tx.one(_Q.read, tenant=tenant)
    refusal = _spec(row).refusal(source) if row else None
    if refusal is not None:
        raise ArcBridgeError(
            ErrorCode.POLICY_VIOLATED,
            f"{refusal}; an admin of the tenant sets the policy",
            errors=(FieldError(field="spec.source", message=refusal),),
        )


def _spec(row: Row) -> ArtifactPolicySpec:
    return ArtifactPolicySpec.model_validate(row["spec"])


def _policy(row: Row | None) -> ArtifactPolicy:
    if row is None:
        return ArtifactPolicy(etag="0")
    return ArtifactPolicy(
        **_spec(row).model_dump(),
        updated_by=row["updated_by"],
        updated_at=row["updated_at"],
        etag=str(row["version"]),
    )
