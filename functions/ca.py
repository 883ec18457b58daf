"""The certification authority, for the platform's operators: how it stands, and its rotation."""

from __future__ import annotations

from functions.edge.endpoint import Call
from functions.edge.resource import Resource
from shared.contract.ca import CaAbortRequest, CaRotateRequest, CaStatus
from shared.contract.errors import ErrorCode
from shared.services import ca

api = Resource("certification authority")
NEXT_ONE = CaRotateRequest()
"""What an empty body asks for."""


@api.endpoint("GET", "v1/ca")
async def ca_status(call: Call) -> CaStatus:
    """Show the generations of the CA, who takes them, and what a rotation waits for."""
    return await ca.status(call.cp, call.caller)


@api.endpoint("POST", "v1/ca/rotate", problems=(ErrorCode.CONFLICT,))
async def ca_rotate(call: Call, body: CaRotateRequest = NEXT_ONE) -> CaStatus:
    """Prepare the next generation and take every step that can be taken.

    The timer takes the others. Asked again, it changes nothing.
    """
    return await ca.rotate(call.cp, call.caller, body)


@api.endpoint("POST", "v1/ca/abort", problems=(ErrorCode.CONFLICT, ErrorCode.NOT_FOUND))
async def ca_abort(call: Call, body: CaAbortRequest) -> CaStatus:
    """Take a prepared generation back, before anything was issued by it.

    Relays and connected agents drop its root within seconds. Asked again for the same generation,
    it changes nothing; one that issues already is refused.
    """
    return await ca.abort(call.cp, call.caller, body)
