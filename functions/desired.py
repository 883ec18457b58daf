"""Desired state: agents read their document, operators publish extensions."""

from __future__ import annotations

from enum import StrEnum

from functions.edge.bodies import JSON, YAML
from functions.edge.endpoint import Call, NotModified
from functions.edge.resource import Resource
from shared.contract.base import WireModel
from shared.contract.desired import DesiredDocument
from shared.contract.errors import ErrorCode
from shared.contract.extension import ExtensionManifest
from shared.contract.limits import DESIRED_BODY_BYTES
from shared.contract.rollout import PublishResult, RolloutPlan
from shared.services import desired, plan, publish, rate_limit

api = Resource("desired state")


class DryRun(StrEnum):
    """What to do instead of publishing."""

    PLAN = "plan"


class PublishQuery(WireModel):
    """Whether to publish or only to look."""

    dry_run: DryRun | None = None
    """`plan`: answer with targets, stages and a predicted timeline; nothing is stored."""


@api.endpoint("GET", "v1/desired")
async def desired_get(call: Call) -> DesiredDocument:
    """Read the calling cluster's complete, signed desired document; 304 when it has not changed."""
    if call.if_none_match:
        etag = await desired.etag(call.cp, call.caller)
        if etag in call.if_none_match:
            raise NotModified(etag)
    return await desired.signed(call.cp, call.caller)


@api.endpoint(
    "POST",
    "v1/desired",
    accepts=(JSON, YAML),
    body_limit=DESIRED_BODY_BYTES,
    limit=rate_limit.PUBLISH,
    problems=(
        ErrorCode.QUARANTINED,
        ErrorCode.DEPENDENCY_CYCLE,
        ErrorCode.QUOTA_EXCEEDED,
        ErrorCode.POLICY_VIOLATED,
    ),
)
async def desired_publish(
    call: Call, body: ExtensionManifest, query: PublishQuery
) -> PublishResult | RolloutPlan:
    """Publish an extension, or plan it with `dryRun=plan`.

    Publishing makes a revision and a rollout; the same content again makes neither.
    """
    if query.dry_run is DryRun.PLAN:
        return await plan.plan(call.cp, call.caller, body)
    return await publish.publish(call.cp, call.caller, body)
