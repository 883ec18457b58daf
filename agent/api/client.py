"""The three calls an agent makes: register, fetch its desired document, report status."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable

from pydantic import ValidationError

from agent.api.assertion import make_assertion
from agent.api.errors import ControlPlaneUnreachable
from agent.api.transport import Answer, Transport
from agent.clock import Clock
from agent.credentials.identity import Identity
from agent.errors import AgentError
from agent.ids import RANDOM_BYTES, uuid7
from shared.contract.desired import DesiredDocument
from shared.contract.registration import RegisterRequest, RegisterResponse
from shared.contract.status import StatusAck, StatusBatch
from shared.telemetry.tracing import traceparent

RandomBytes = Callable[[int], bytes]


class UnusableDocument(AgentError):
    """The answer is not a complete desired document of this cluster; nothing is done with it."""


async def register(transport: Transport, request: RegisterRequest) -> RegisterResponse:
    """POST /register. Raises ControlPlaneUnreachable or ControlPlaneRefused."""
    body = request.model_dump_json().encode()
    answer = await transport.send("POST", "/register", content=body)
    try:
        return RegisterResponse.model_validate_json(answer.content)
    except ValidationError as error:
        raise ControlPlaneUnreachable("the answer to register is not readable") from error


class ControlPlaneClient:
    """Calls in the name of the identity that `identity` gives at that moment."""

    def __init__(
        self,
        transport: Transport,
        identity: Callable[[], Identity],
        clock: Clock,
        *,
        random_bytes: RandomBytes = secrets.token_bytes,
    ) -> None:
        self._transport = transport
        self._identity = identity
        self._clock = clock
        self._random_bytes = random_bytes

    async def desired(self, held_digest: str | None) -> DesiredDocument | None:
        """GET /desired; None when the document we hold is the newest.

        Raises UnusableDocument for one that is incomplete, unknown in form or not ours.
        """
        etag = {"If-None-Match": f'"{held_digest}"'} if held_digest else {}
        answer = await self._send("GET", "/desired", headers=etag)
        if answer.status == 304:
            return None
        try:
            # Off the loop: a large document must not hold up heartbeats.
            document = await asyncio.to_thread(DesiredDocument.model_validate_json, answer.content)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            raise UnusableDocument(
                f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
            ) from error
        if document.cluster_id != self._identity().registration.cluster_id:
            raise UnusableDocument("the document is another cluster's")
        return document

    async def report(self, batch: StatusBatch) -> StatusAck:
        """POST /status."""
        body = batch.model_dump_json(exclude_none=True).encode()
        answer = await self._send("POST", "/status", content=body)
        try:
            return StatusAck.model_validate_json(answer.content)
        except ValidationError as error:
            raise ControlPlaneUnreachable("the answer to status is not readable") from error

    async def _send(
        self,
        method: str,
        path: str,
        *,
        headers: dict[str, str] | None = None,
        content: bytes | None = None,
    ) -> Answer:
        now = self._clock.now()
        assertion = make_assertion(
            self._identity(), now, uuid7(now, self._random_bytes(RANDOM_BYTES))
        )
        context = traceparent()
        return await self._transport.send(
            method,
            path,
            content=content,
            headers={
                "Authorization": f"Bearer {assertion}",
                **({"traceparent": context} if context else {}),
                **(headers or {}),
            },
        )
