"""Where the tenant's extensions may come from."""

from __future__ import annotations

from functions.edge.endpoint import Call, IfMatch
from functions.edge.resource import Resource
from shared.contract.artifact_policy import ArtifactPolicy, ArtifactPolicySpec
from shared.services import artifact_policies

api = Resource("artifact policy")


@api.endpoint("GET", "v1/artifact-policy")
async def artifact_policy_get(call: Call) -> ArtifactPolicy:
    """Read the artifact policy; a tenant that has set none may fetch from anywhere."""
    return await artifact_policies.get(call.cp, call.caller)


@api.endpoint("PUT", "v1/artifact-policy", if_match=IfMatch.OPTIONAL)
async def artifact_policy_put(call: Call, body: ArtifactPolicySpec) -> ArtifactPolicy:
    """Set the artifact policy; it counts from the next publish on, what runs stays."""
    return await artifact_policies.put(call.cp, call.caller, body, call.if_match)
