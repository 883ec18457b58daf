"""A request's way through the edge: the same steps in the same order for every endpoint.

Nothing leaves here but an answer: errors become problem documents, an exception nobody expected is
logged once and becomes `Internal`, and a call that takes too long becomes `Unavailable`. Only
cancellation goes on through, because it is the host's.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from azure.functions import HttpRequest, HttpResponse
from pydantic import TypeAdapter, ValidationError

from functions import runtime, telemetry
from functions.access import Who
from functions.edge import bodies, conditional, credentials, idempotency
from functions.edge.endpoint import Call, Endpoint, IfMatch, NotModified, RawAnswer
from functions.edge.field_errors import invalid, one
from functions.edge.headers import header
from functions.edge.problems import CONTENT_TYPE, STATUS, internal, problem, problem_headers
from functions.instruments import instruments
from shared.contract.base import WireModel
from shared.contract.errors import ErrorCode
from shared.contract.violations import violations
from shared.domain.errors import ArcBridgeError
from shared.services.caller import Caller
from shared.services.control_plane import ControlPlane
from shared.telemetry import tracing
from shared.telemetry.logs import get_logger

DEADLINE_SECONDS = 25.0
"""Under the 30 s after which callers and load balancers give up by themselves."""
QUERY_LENGTH = 8192
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Trace:
    """What ties an answer to its log lines and spans."""

    traceparent: str
    request_id: str

    @property
    def trace_id(self) -> str:
        return self.traceparent.split("-")[1]


async def serve(endpoint: Endpoint, req: HttpRequest) -> HttpResponse:
    """Answer one request."""
    telemetry.start()
    started = time.perf_counter()
    with tracing.span(
        f"{endpoint.method} /api/{endpoint.route}",
        parent=header(req, "traceparent"),
        kind=tracing.Kind.SERVER,
        attributes={"http.request.method": endpoint.method, "faas.name": endpoint.name},
    ) as span:
        trace = _trace(req)
        response = await _answer_or_problem(endpoint, req, trace)
        span.set_attribute("http.response.status_code", response.status_code)
    response.headers["traceparent"] = trace.traceparent
    response.headers["X-Request-Id"] = trace.request_id
    response.headers["X-Content-Type-Options"] = "nosniff"
    seen = instruments()
    seen.requests.labels(endpoint.name, str(response.status_code)).inc()
    seen.request_seconds.labels(endpoint.name).observe(time.perf_counter() - started)
    return response


def _trace(req: HttpRequest) -> _Trace:
    given = header(req, "x-request-id") or ""
    traceparent = tracing.traceparent() or _new_traceparent()
    request_id = given if _REQUEST_ID.fullmatch(given) else traceparent.split("-")[1]
    return _Trace(traceparent, request_id)


def _new_traceparent() -> str:
    """Without an exporter there is no trace to join; log lines still need an id in common."""
    # Neither id may be all zeros: the last bit is set.
    return f"00-{secrets.token_hex(15)}01-{secrets.token_hex(7)}01-00"


async def _answer_or_problem(endpoint: Endpoint, req: HttpRequest, trace: _Trace) -> HttpResponse:
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            return await _answer(endpoint, req, trace)
    except NotModified as unchanged:
        return _not_modified(unchanged.etag)
    except ArcBridgeError as error:
        if error.code is ErrorCode.INTERNAL:
            log.exception("request failed", function=endpoint.name)
        return _problem(error, trace)
    except TimeoutError:
        log.warning("request ran out of time", function=endpoint.name, seconds=DEADLINE_SECONDS)
        return _problem(_too_slow(), trace)
    except Exception:
        log.exception("request failed", function=endpoint.name)
        return _problem(internal(), trace)


async def _answer(endpoint: Endpoint, req: HttpRequest, trace: _Trace) -> HttpResponse:
    bodies.check_size(req.get_body(), endpoint.body_limit)
    arguments: dict[str, Any] = {}
    call = None
    if endpoint.wants_call or endpoint.rule.who is not Who.ANYONE:
        call = arguments["call"] = await _call(endpoint, req, trace)
    arguments |= _path(endpoint, req) | _query(endpoint, req)
    payload = _payload(endpoint, req)
    if endpoint.body is not None:
        arguments["body"] = _body(endpoint, payload)
    elif payload:
        raise one("body", "is not expected here", "send none")
    key = idempotency.key_of(endpoint, req)
    if key is None or call is None:
        result = await endpoint.handler(**arguments)
        return _response(endpoint, call, result)
    return await idempotency.once(
        call,
        idempotency.Request(key, endpoint.name, req.url, payload, keep=not endpoint.shown_once),
        lambda: _respond(endpoint, call, arguments),
    )


async def _respond(endpoint: Endpoint, call: Call, arguments: dict[str, Any]) -> HttpResponse:
    return _response(endpoint, call, await endpoint.handler(**arguments))


async def _call(endpoint: Endpoint, req: HttpRequest, trace: _Trace) -> Call:
    plane = await runtime.control_plane()
    caller = await credentials.authenticate(plane, endpoint.rule, req, trace.traceparent)
    await _check_rate(endpoint, plane, caller)
    return Call(
        cp=plane,
        caller=caller,
        if_match=_if_match(endpoint, req),
        if_none_match=conditional.if_none_match(header(req, "if-none-match")),
    )


def _if_match(endpoint: Endpoint, req: HttpRequest) -> str | None:
    if endpoint.if_match is IfMatch.IGNORED:
        return None
    required = endpoint.if_match is IfMatch.REQUIRED
    return conditional.if_match(header(req, "if-match"), required=required)


async def _check_rate(endpoint: Endpoint, plane: ControlPlane, caller: Caller) -> None:
    if endpoint.limit is not None:
        subject = f"{caller.tenant}/{caller.cluster_id}" if caller.cluster_id else caller.tenant
        await plane.limits.check(endpoint.limit, subject)


def _path(endpoint: Endpoint, req: HttpRequest) -> dict[str, Any]:
    values = {}
    for name, adapter in endpoint.path.items():
        try:
            values[name] = adapter.validate_strings(req.route_params[name])
        except ValidationError as error:
            (wrong, *_) = violations(error, nameless=name)
            how = wrong.remedy or wrong.message
            if endpoint.method == "PUT":  # it would make what is not there yet
                raise one(name, wrong.message, how) from None
            # What cannot be a name cannot be the name of anything.
            raise ArcBridgeError(
                ErrorCode.NOT_FOUND, f"There is nothing under this {name}, nor can be: {how}."
            ) from None
    return values


def _query(endpoint: Endpoint, req: HttpRequest) -> dict[str, Any]:
    text = urlsplit(req.url).query
    if len(text) > QUERY_LENGTH:
        raise one("query", f"is longer than {QUERY_LENGTH} characters", "shorten it")
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=32, errors="strict")
    except ValueError as error:
        raise one("query", "cannot be read", "send UTF-8, percent-encoded") from error
    given: dict[str, str] = {}
    for name, value in pairs:
        if name in given:
            raise one(name, "is given twice", "give it once")
        bodies.check_text({name: value}, "query")
        given[name] = value
    if endpoint.query is None:
        if given:
            raise one(min(given), "is not a parameter of this call", "remove it")
        return {}
    return {"query": _validated(endpoint.query, given, "query")}


def _validated(adapter: TypeAdapter[Any], given: dict[str, str], where: str) -> Any:
    try:
        return adapter.validate_strings(given, by_alias=True, by_name=False)
    except ValidationError as error:
        raise invalid(error, adapter, where) from None


def _payload(endpoint: Endpoint, req: HttpRequest) -> bytes:
    body = req.get_body()
    if not body or endpoint.body is None:
        return body
    bodies.check_encoding(header(req, "content-encoding"))
    return bodies.to_json_bytes(body, header(req, "content-type"), endpoint.accepts)


def _body(endpoint: Endpoint, payload: bytes) -> Any:
    adapter = endpoint.body
    if not payload and endpoint.default_body is not None:
        return endpoint.default_body
    if not payload or adapter is None:
        raise one("body", "is empty", "send the document that this call needs")
    try:
        return adapter.validate_json(payload, strict=True, by_alias=True, by_name=False)
    except ValidationError as error:
        raise invalid(error, adapter, "body") from None


def _response(endpoint: Endpoint, call: Call | None, result: Any) -> HttpResponse:
    match result:
        case None:
            return HttpResponse(status_code=HTTPStatus.NO_CONTENT)
        case RawAnswer():
            headers = {"Cache-Control": "no-store", "Content-Type": result.content_type}
            return HttpResponse(result.content, headers=headers | dict(result.headers or {}))
        case WireModel():
            return _model(endpoint, call, result)
    raise TypeError(f"{endpoint.name} answered with a {type(result).__name__}")


def _model(endpoint: Endpoint, call: Call | None, result: WireModel) -> HttpResponse:
    headers = {"Content-Type": bodies.JSON, "Cache-Control": "no-store"}
    etag = conditional.entity_tag(result)
    if etag is not None:
        if endpoint.method == "GET" and call is not None and etag in call.if_none_match:
            return _not_modified(etag)
        headers |= {"ETag": f'"{etag}"', "Cache-Control": "private, no-cache"}
    content = json.dumps(result.to_wire(), ensure_ascii=False, separators=(",", ":")).encode()
    return HttpResponse(content, status_code=endpoint.status, headers=headers)


def _not_modified(etag: str) -> HttpResponse:
    headers = {"ETag": f'"{etag}"', "Cache-Control": "private, no-cache"}
    return HttpResponse(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)


def _problem(error: ArcBridgeError, trace: _Trace) -> HttpResponse:
    document = json.dumps(problem(error, trace.trace_id).to_wire())
    headers = {"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store"}
    return HttpResponse(
        document, status_code=STATUS[error.code], headers=headers | problem_headers(error)
    )


def _too_slow() -> ArcBridgeError:
    return ArcBridgeError(
        ErrorCode.UNAVAILABLE,
        f"No answer within {DEADLINE_SECONDS:.0f} s. Try again with the same Idempotency-Key.",
        retry_after=5,
    )
