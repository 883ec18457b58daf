"""The Idempotency-Key header of members' POSTs: repeat a request without repeating its effect.

Only answers are kept; a refused request frees its key. An answer that shows a secret is not kept
either: a repetition of such a call is told so instead.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from azure.functions import HttpRequest, HttpResponse

from functions.edge.endpoint import Call, Endpoint
from functions.edge.field_errors import one
from functions.edge.headers import header
from shared.contract.errors import ErrorCode
from shared.domain.errors import ArcBridgeError
from shared.services import idempotency
from shared.services.idempotency import KeptAnswer

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
_KEY = re.compile(r"[!-~]{1,255}")
_KEPT_HEADERS = ("Content-Type", "Cache-Control", "ETag")


@dataclass(frozen=True, slots=True)
class Request:
    """What a key stands for; `keep` is False when the answer must not be stored."""

    key: str
    route: str
    url: str
    payload: bytes
    keep: bool

    def digest(self, actor: str) -> str:
        """Hexadecimal SHA-256 over who asks and what."""
        text = json.dumps([actor, self.route, self.url]).encode()
        return hashlib.sha256(text + b"\n" + self.payload).hexdigest()


def key_of(endpoint: Endpoint, req: HttpRequest) -> str | None:
    """The request's key; None without one, or where the call takes none."""
    key = header(req, HEADER)
    if key is None or not endpoint.takes_idempotency_key:
        return None
    if not _KEY.fullmatch(key):
        raise one(HEADER, "must be 1 to 255 printable ASCII characters", "use a UUID")
    return key


async def once(
    call: Call, request: Request, act: Callable[[], Awaitable[HttpResponse]]
) -> HttpResponse:
    """Act, or repeat the answer of the first time."""
    database, tenant = call.cp.db, call.caller.tenant
    claim = await idempotency.claim(
        database,
        tenant=tenant,
        key=request.key,
        route=request.route,
        request_sha=request.digest(call.caller.actor),
    )
    if isinstance(claim, KeptAnswer):
        return _replayed(claim)
    try:
        response = await act()
    except ArcBridgeError:
        # Where the database is away the key stays taken for a minute, which does no harm.
        with suppress(ArcBridgeError):
            await idempotency.give_up(database, claim)
        raise
    kept = _kept(response) if request.keep else None
    await idempotency.keep(database, claim, response.status_code, kept)
    return response


def _kept(response: HttpResponse) -> dict[str, object]:
    headers = {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers}
    return {"headers": headers, "body": response.get_body().decode()}


def _replayed(answer: KeptAnswer) -> HttpResponse:
    if answer.response is None:
        raise ArcBridgeError(
            ErrorCode.CONFLICT,
            "This was done already, and its answer held a secret that is shown once only: "
            "revoke what it made and ask anew with a new key.",
        )
    return HttpResponse(
        answer.response["body"],
        status_code=answer.status,
        headers={**answer.response["headers"], REPLAYED: "true"},
    )
