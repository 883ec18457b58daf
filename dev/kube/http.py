"""Requests and answers between ASGI and the handlers, and the negotiation of representations."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl

import yaml

from dev.kube import errors, protobuf
from dev.kube.identity import ADMINISTRATOR, User
from dev.kube.json_text import has_surrogate_escapes, json_text
from dev.kube.schema import Json

Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]

BODY_LIMIT: Final = 3 * 1024 * 1024
JSON_TYPE: Final = "application/json"
FULL, TABLE, METADATA = "full", "Table", "PartialObjectMetadata"


@dataclass(frozen=True)
class Request:
    """One HTTP request to a cluster; `path` is what follows the cluster's own prefix."""

    method: str
    path: str
    prefix: str
    """The cluster's path prefix, `/clusters/NAME`."""
    query: dict[str, str]
    headers: dict[str, str]
    """By name in lower case; the values of one that came several times, separated by commas."""
    body: bytes
    user: User = ADMINISTRATOR

    def flag(self, name: str) -> bool:
        """A boolean query parameter: `watch=1`, `watch=true`, `watch`."""
        return self.query.get(name, "false").lower() in {"", "1", "t", "true"}

    @property
    def content_type(self) -> str:
        """The media type of the body, without parameters."""
        return self.headers.get("content-type", JSON_TYPE).split(";")[0].strip().lower()

    def document(self) -> Any:
        """The body as JSON or YAML; raises `StatusError` 400 or 415. `None` when it is empty."""
        if not self.body:
            return None
        kind = self.content_type
        if kind == protobuf.MEDIA_TYPE:
            return protobuf.decode(self.body)
        if kind.endswith(("protobuf", "cbor")):
            raise errors.unsupported_media_type(kind, [JSON_TYPE, "application/yaml"])
        if kind.endswith("yaml") and has_surrogate_escapes(self.body):
            raise errors.bad_request(
                "error decoding YAML: error converting YAML to JSON: yaml: found invalid Unicode "
                "character escape code"
            )
        try:
            return json.loads(self.body)
        except ValueError as error:
            if not kind.endswith("yaml"):
                raise errors.bad_request(f"the body of the request is not JSON: {error}") from error
        try:
            return yaml.load(self.body, Loader=_StringDates)  # noqa: S506 - a safe loader
        except yaml.YAMLError as error:
            raise errors.bad_request(f"the body of the request is not YAML: {error}") from error

    def shape(self) -> str:
        """How the answer is to be represented: FULL, TABLE or METADATA."""
        for accepted in self.headers.get("accept", "").split(","):
            parameters = dict(part.strip().partition("=")[::2] for part in accepted.split(";")[1:])
            kind = accepted.split(";")[0].strip()
            if kind not in {JSON_TYPE, "*/*", "application/*", ""}:
                continue
            wanted = parameters.get("as", "")
            if wanted == TABLE:
                return TABLE
            if wanted.startswith(METADATA):
                return METADATA
            return FULL
        return FULL


class _StringDates(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # the C loader is optional
    """YAML as Kubernetes reads it: timestamps stay strings."""


_StringDates.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:timestamp"]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


@dataclass(frozen=True)
class Response:
    """One answer with a body."""

    body: bytes
    status: int = 200
    content_type: str = JSON_TYPE
    headers: dict[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @classmethod
    def of(cls, document: Json, status: int = 200, **more: Any) -> Response:
        """An answer that holds a JSON document."""
        return cls(json_text(document), status, **more)

    async def send(self, send: Send) -> None:
        """Write the answer."""
        pairs = {
            "content-type": self.content_type,
            "content-length": str(len(self.body)),
            "cache-control": "no-cache, private",
            **self.headers,
        }
        lines = [(name.encode(), value.encode()) for name, value in pairs.items()]
        lines += [(b"warning", _warning(text)) for text in self.warnings]
        await send({"type": "http.response.start", "status": self.status, "headers": lines})
        await send({"type": "http.response.body", "body": self.body})


def _warning(text: str) -> bytes:
    quoted = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
    return f'299 - "{quoted}"'.encode("ascii", "replace")


def failure(error: errors.StatusError) -> Response:
    """The answer to a request that failed."""
    return Response.of(error.to_status(), error.code)


async def read_request(scope: dict[str, Any], receive: Receive, prefix: str) -> Request:
    """Read a whole request; raises `StatusError` 413 for a body beyond the limit."""
    chunks, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            break
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > BODY_LIMIT:
            text = f"Request entity too large: limit is {BODY_LIMIT}"
            raise errors.StatusError(413, "RequestEntityTooLarge", text)
        chunks.append(chunk)
        more = message.get("more_body", False)
    query = dict(parse_qsl(scope["query_string"].decode(), keep_blank_values=True))
    headers: dict[str, str] = {}
    for raw, value in scope["headers"]:
        name, text = raw.decode().lower(), value.decode("latin-1")
        headers[name] = f"{headers[name]},{text}" if name in headers else text
    return Request(
        method=scope["method"],
        path=scope["path"][len(prefix) :] or "/",
        prefix=prefix,
        query=query,
        headers=headers,
        body=b"".join(chunks),
    )
