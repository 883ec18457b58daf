"""A new cluster exchanges its bootstrap token and a certificate request for an identity."""

from __future__ import annotations

from functions.edge.endpoint import Call
from functions.edge.resource import Resource
from shared.contract.errors import ErrorCode
from shared.contract.limits import REGISTER_BODY_BYTES
from shared.contract.registration import RegisterRequest, RegisterResponse
from shared.services import registration

api = Resource("agents")


@api.endpoint(
    "POST",
    "v1/register",
    body_limit=REGISTER_BODY_BYTES,
    problems=(
        ErrorCode.REGISTRATION_REFUSED,
        ErrorCode.PENDING_APPROVAL,
        ErrorCode.ALREADY_EXISTS,
        ErrorCode.RATE_LIMITED,
    ),
)
async def register(call: Call, body: RegisterRequest) -> RegisterResponse:
    """Register a cluster.

    The same token with the same key gives the same answer for ten minutes. With a token that needs
    approval the answer is PendingApproval until an admin has decided: ask again with the same key.
    """
    return await registration.register(
        call.cp, body, address=call.caller.address, traceparent=call.caller.traceparent
    )
