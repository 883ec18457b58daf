"""Desired state: agents read their document, operators publish extensions."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from functions.edge.bodies import JSON, YAML
from functions.edge.endpoint import Call, NotModified
from functions.edge.resource import Resource
from shared.contract.base import IntOrPercent, WireModel
from shared.contract.desired import DesiredDocument
from shared.contract.errors import ErrorCode
from shared.contract.extension import ExtensionManifest
from shared.contract.limits import DESIRED_BODY_BYTES
from shared.contract.plan import RolloutPlan, Simulation
from shared.contract.rollout import PublishResult
from shared.services import desired, plan, publish, rate_limit, simulate

api = Resource("desired state")


class DryRun(StrEnum):
    """What to do instead of publishing."""

    PLAN = "plan"
    SIMULATE = "simulate"


class PublishQuery(WireModel):
    """Whether to publish or only to look."""

    dry_run: DryRun | None = None
    """`plan`: answer with targets, stages and a predicted timeline. `simulate`: run the planner
    over the fleet in virtual time, and answer with how it went. Nothing is stored by either."""
    failures: IntOrPercent = "0"
    """With `simulate`: so many of the clusters that can be reached fail."""
    offline: IntOrPercent = "0"
    """So many of the targets are silent all the time, with `simulate`."""
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    """With `simulate`: the same seed draws the same clusters."""

    @model_validator(mode="after")
    def _chance_belongs_to_a_simulation(self) -> Self:
        drawn = self.model_fields_set & {"failures", "offline", "seed"}
        if drawn and self.dry_run is not DryRun.SIMULATE:
            raise ValueError(f"{', '.join(sorted(drawn))}: only with dryRun=simulate")
        return self


@api.endpoint("GET", "v1/desired")
async def desired_get(call: Call) -> DesiredDocument:
    """Read the calling cluster's complete, signed desired document; 304 when it has not changed."""
    found = await desired.newer(call.cp, call.caller, call.if_none_match)
    if isinstance(found, desired.Unchanged):
        raise NotModified(found.digest)
    return found


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
) -> PublishResult | RolloutPlan | Simulation:
    """Publish an extension, or plan or simulate it with `dryRun`.

    Publishing makes a revision and a rollout; the same content again makes neither.
    """
    if query.dry_run is None:
        return await publish.publish(call.cp, call.caller, body)
    await call.cp.limits.check(rate_limit.FORESEE, call.caller.tenant)
    if query.dry_run is DryRun.PLAN:
        return await plan.plan(call.cp, call.caller, body)
    return await simulate.simulate(
        call.cp,
        call.caller,
        body,
        failures=query.failures,
        offline=query.offline,
        seed=query.seed,
    )
