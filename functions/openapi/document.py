"""From endpoint declarations to an OpenAPI 3.1 document.

Nothing is written twice: paths, parameters, bodies and answers come from the endpoints' own
annotations, roles from the access table, problems from the status table. The document is the same
for the same code, so it can be compared over releases.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Literal

from pydantic import TypeAdapter

from functions.access import Who
from functions.edge.bodies import JSON
from functions.edge.endpoint import Endpoint, IfMatch, RawAnswer
from functions.edge.problems import CONTENT_TYPE, STATUS
from shared.contract.errors import ErrorCode, Problem

Schema = dict[str, Any]
Mode = Literal["validation", "serialization"]
TITLE = "ArcBridge"
API_VERSION = "v1"
_REF = "#/components/schemas/{model}"
_SECURITY: Mapping[Who, list[dict[str, list[str]]]] = {
    Who.ANYONE: [],
    Who.TOKEN_HOLDER: [],
    Who.AGENT: [{"agent": []}],
    Who.MEMBER: [{"member": []}],
    Who.PLATFORM: [{"member": []}],
}
_SCHEMES = {
    "member": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "Access token of a person or service from the OpenID provider.",
    },
    "agent": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "Assertion signed with the key of the cluster's certificate (RFC 7523).",
    },
}


def build(endpoints: Iterable[Endpoint]) -> Schema:
    """The document."""
    endpoints = tuple(endpoints)
    schemas = _Schemas(endpoints)
    paths: dict[str, dict[str, Schema]] = defaultdict(dict)
    for endpoint in endpoints:
        paths[f"/api/{endpoint.route}"][endpoint.method.lower()] = _operation(endpoint, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": TITLE,
            "version": API_VERSION,
            "description": "Connect Kubernetes clusters and roll extensions out to them safely.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {path: paths[path] for path in sorted(paths)},
        "components": {"schemas": schemas.definitions, "securitySchemes": _SCHEMES},
    }


class _Schemas:
    """The schemas of all models in use, in the two modes where they differ."""

    def __init__(self, endpoints: tuple[Endpoint, ...]) -> None:
        wanted: dict[tuple[str, Mode], TypeAdapter[Any]] = {
            ("problem", "serialization"): TypeAdapter(Problem)
        }
        for endpoint in endpoints:
            for part, adapter in endpoint.path.items():
                wanted[f"{endpoint.name}.{part}", "validation"] = adapter
            if endpoint.body is not None:
                wanted[f"{endpoint.name}.body", "validation"] = endpoint.body
            if endpoint.query is not None:
                wanted[f"{endpoint.name}.query", "validation"] = endpoint.query
            answer = endpoint.hints["return"]
            if answer not in (RawAnswer, type(None)):
                wanted[f"{endpoint.name}.answer", "serialization"] = TypeAdapter(answer)
        made, definitions = TypeAdapter.json_schemas(
            [(key, mode, adapter) for (key, mode), adapter in wanted.items()],
            by_alias=True,
            ref_template=_REF,
        )
        self._made = {key: schema for (key, _), schema in made.items()}
        found = definitions.get("$defs", {})
        self.definitions: Schema = {name: found[name] for name in sorted(found)}

    def of(self, key: str) -> Schema:
        """The schema of one part of one endpoint."""
        return self._made[key]

    def parameters_of(self, key: str) -> Schema:
        """The schema of a query model itself, not a reference to it."""
        schema = self._made[key]
        while "$ref" in schema:
            schema = self.definitions[schema["$ref"].rpartition("/")[2]]
        return schema


def _operation(endpoint: Endpoint, schemas: _Schemas) -> Schema:
    summary, _, description = (endpoint.handler.__doc__ or "").strip().partition("\n")
    operation: Schema = {
        "operationId": endpoint.name,
        "tags": [endpoint.tag],
        "summary": summary.rstrip("."),
        "security": _SECURITY[endpoint.rule.who],
        "parameters": [*_path_parameters(endpoint, schemas), *_query_parameters(endpoint, schemas)],
        "responses": {
            str(int(endpoint.answer_status)): _answer(endpoint, schemas),
            **_more_answers(endpoint),
            **_problems(endpoint),
        },
    }
    operation["parameters"] += _header_parameters(endpoint)
    if description.strip():
        operation["description"] = re.sub(r"\s+", " ", description).strip()
    if endpoint.rule.roles:
        operation["x-arcbridge-roles"] = [role.value for role in endpoint.rule.roles]
    if endpoint.body is not None:
        operation["requestBody"] = {
            "required": endpoint.default_body is None,
            "content": {
                kind: {"schema": schemas.of(f"{endpoint.name}.body")} for kind in endpoint.accepts
            },
        }
    return operation


def _path_parameters(endpoint: Endpoint, schemas: _Schemas) -> list[Schema]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": schemas.of(f"{endpoint.name}.{name}"),
        }
        for name in endpoint.path
    ]


def _query_parameters(endpoint: Endpoint, schemas: _Schemas) -> list[Schema]:
    if endpoint.query is None:
        return []
    schema = schemas.parameters_of(f"{endpoint.name}.query")
    required = schema.get("required", ())
    return [
        {
            "name": name,
            "in": "query",
            "required": name in required,
            "schema": _not_null(each),
        }
        for name, each in schema["properties"].items()
    ]


def _not_null(schema: Schema) -> Schema:
    """A query parameter is absent or has a value; there is no null in a query string."""
    if "anyOf" not in schema:
        return schema
    others = [each for each in schema["anyOf"] if each.get("type") != "null"]
    rest = {key: value for key, value in schema.items() if key not in ("anyOf", "default")}
    return {**rest, **others[0]} if len(others) == 1 else {**rest, "anyOf": others}


def _header_parameters(endpoint: Endpoint) -> list[Schema]:
    headers = []
    if endpoint.takes_idempotency_key:
        headers.append(
            _header(
                "Idempotency-Key",
                "The same key with the same request acts once, for a day.",
                {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
            )
        )
    tag: Schema = {"type": "string", "pattern": r'^("[!#-~]*"|\*)$'}
    if endpoint.if_match is not IfMatch.IGNORED:
        required = endpoint.if_match is IfMatch.REQUIRED
        words = "The ETag of what was read, or *."
        headers.append(_header("If-Match", words, tag, required=required))
    if endpoint.sends_etag and endpoint.method == "GET":
        headers.append(_header("If-None-Match", "The ETag of what is known.", {"type": "string"}))
    return headers


def _header(name: str, description: str, schema: Schema, *, required: bool = False) -> Schema:
    return {
        "name": name,
        "in": "header",
        "required": required,
        "description": description,
        "schema": schema,
    }


def _answer(endpoint: Endpoint, schemas: _Schemas) -> Schema:
    answer: Schema = {"description": endpoint.answer_status.phrase}
    if endpoint.sends_etag:
        answer["headers"] = {"ETag": {"required": True, "schema": {"type": "string"}}}
    if endpoint.content_type is not None:
        answer["content"] = {endpoint.content_type: {"schema": {"type": "string"}}}
        if endpoint.content_type == JSON:
            answer["content"] = {JSON: {"schema": {"type": "object"}}}
    elif endpoint.answer_status is not HTTPStatus.NO_CONTENT:
        answer["content"] = {JSON: {"schema": schemas.of(f"{endpoint.name}.answer")}}
    return answer


def _more_answers(endpoint: Endpoint) -> Schema:
    if endpoint.sends_etag and endpoint.method == "GET":
        return {"304": {"description": "Not modified since If-None-Match"}}
    return {}


def _problems(endpoint: Endpoint) -> Schema:
    by_status: dict[int, list[ErrorCode]] = defaultdict(list)
    for code in sorted(problem_codes(endpoint)):
        by_status[STATUS[code]].append(code)
    return {str(status): _problem(status, codes) for status, codes in sorted(by_status.items())}


def _problem(status: int, codes: list[ErrorCode]) -> Schema:
    problem: Schema = {
        "description": f"{HTTPStatus(status).phrase}: {', '.join(codes)}",
        "content": {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    if {ErrorCode.RATE_LIMITED, ErrorCode.UNAVAILABLE} & set(codes):
        problem["headers"] = {
            "Retry-After": {"description": "Seconds", "schema": {"type": "integer", "minimum": 1}}
        }
    return problem


def problem_codes(endpoint: Endpoint) -> set[ErrorCode]:
    """The problems that an endpoint can answer with, by what it declares."""
    codes = {ErrorCode.INTERNAL, ErrorCode.INVALID_REQUEST, ErrorCode.TOO_LARGE}
    codes.update(endpoint.problems)
    if endpoint.wants_call:
        codes.add(ErrorCode.UNAVAILABLE)
    if endpoint.rule.who in (Who.AGENT, Who.MEMBER, Who.PLATFORM):
        codes |= {ErrorCode.UNAUTHENTICATED, ErrorCode.FORBIDDEN}
    if endpoint.path:
        codes.add(ErrorCode.NOT_FOUND)
    if endpoint.method != "GET" and endpoint.rule.who in (Who.MEMBER, Who.PLATFORM):
        codes.add(ErrorCode.CONFLICT)
    if endpoint.body is not None:
        codes.add(ErrorCode.UNSUPPORTED_MEDIA_TYPE)
    if endpoint.if_match is not IfMatch.IGNORED:
        codes.add(ErrorCode.PRECONDITION_FAILED)
    if endpoint.if_match is IfMatch.REQUIRED:
        codes.add(ErrorCode.PRECONDITION_REQUIRED)
    if endpoint.limit is not None:
        codes.add(ErrorCode.RATE_LIMITED)
    return codes
