"""What agents report of their extensions."""

from __future__ import annotations

from functions.edge.endpoint import Call
from functions.edge.resource import Resource
from shared.contract.errors import ErrorCode
from shared.contract.limits import STATUS_BODY_BYTES
from shared.contract.status import StatusAck, StatusBatch
from shared.services import rate_limit, status

api = Resource("agents")


@api.endpoint(
    "POST",
    "v1/status",
    body_limit=STATUS_BODY_BYTES,
    limit=rate_limit.STATUS,
    problems=(ErrorCode.STALE_EPOCH,),
)
async def status_report(call: Call, body: StatusBatch) -> StatusAck:
    """Report a batch of events.

    The answer says up to which sequence they are durable; events are known by id and counted once.
    """
    return await status.ingest(call.cp, call.caller, body)
