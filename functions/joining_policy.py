"""What the tenant asks of clusters that join."""

from __future__ import annotations

from functions.edge.endpoint import Call, IfMatch
from functions.edge.resource import Resource
from shared.contract.joining_policy import JoiningPolicy, JoiningPolicySpec
from shared.services import joining_policies

api = Resource("joining policy")


@api.endpoint("GET", "v1/joining-policy")
async def joining_policy_get(call: Call) -> JoiningPolicy:
    """Read the joining policy; a tenant that has set none asks for a token alone."""
    return await joining_policies.get(call.cp, call.caller)


@api.endpoint("PUT", "v1/joining-policy", if_match=IfMatch.OPTIONAL)
async def joining_policy_put(call: Call, body: JoiningPolicySpec) -> JoiningPolicy:
    """Set the joining policy; it counts from the next registration on."""
    return await joining_policies.put(call.cp, call.caller, body, call.if_match)
