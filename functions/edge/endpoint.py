"""What an endpoint declares.

An endpoint is a plain typed coroutine. Its parameters say what it reads: `call` (who asks, and the
control plane), `body` and `query` (models), and one parameter for each `{name}` of its route. Its
return annotation is the answer's model. The OpenAPI document is made from the same declaration.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, get_type_hints

from pydantic import TypeAdapter

from functions.access import Rule, Who, rule_for
from shared.contract.desired import DesiredDocument
from shared.contract.errors import ErrorCode

if TYPE_CHECKING:
    from shared.services.caller import Caller
    from shared.services.control_plane import ControlPlane
    from shared.services.rate_limit import Limit

Handler = Callable[..., Awaitable[Any]]
_PLACEHOLDER = re.compile(r"\{(\w+)")


@dataclass(frozen=True, slots=True)
class Call:
    """One authenticated request, as an endpoint sees it."""

    cp: ControlPlane
    caller: Caller
    if_match: str | None = None
    """The entity tag of If-Match without its quotes, or `*`; None without one."""
    if_none_match: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """An answer that is not a model: text of some content type."""

    content: bytes
    content_type: str
    headers: Mapping[str, str] | None = None


class NotModified(Exception):
    """Raised by an endpoint that can tell without making the answer: 304 with this entity tag."""

    def __init__(self, etag: str) -> None:
        super().__init__(etag)
        self.etag = etag


class IfMatch(Enum):
    """Whether a call reads If-Match."""

    IGNORED = "ignored"
    OPTIONAL = "optional"
    REQUIRED = "required"


@dataclass(frozen=True)
class Endpoint:
    """One endpoint's declaration; see `Resource.endpoint` for the fields."""

    handler: Handler
    method: str
    route: str
    tag: str
    status: HTTPStatus
    accepts: tuple[str, ...]
    body_limit: int
    if_match: IfMatch
    limit: Limit | None
    shown_once: bool
    problems: tuple[ErrorCode, ...]
    content_type: str | None

    @property
    def name(self) -> str:
        """The Function's name."""
        return self.handler.__name__

    @property
    def rule(self) -> Rule:
        """Who may call it."""
        return rule_for(self.name)

    @property
    def takes_idempotency_key(self) -> bool:
        """Members' POSTs do; agents' are idempotent by their own ids."""
        return self.method == "POST" and self.rule.who in (Who.MEMBER, Who.PLATFORM)

    @cached_property
    def hints(self) -> dict[str, Any]:
        """The handler's annotations, evaluated; the answer's is under `return`."""
        return get_type_hints(self.handler, include_extras=True)

    @cached_property
    def path(self) -> dict[str, TypeAdapter[Any]]:
        """How each placeholder of the route is read."""
        return {name: TypeAdapter(self.hints[name]) for name in _PLACEHOLDER.findall(self.route)}

    @cached_property
    def body(self) -> TypeAdapter[Any] | None:
        """How the body is read; None where there is none."""
        return TypeAdapter(self.hints["body"]) if "body" in self.hints else None

    @cached_property
    def default_body(self) -> Any:
        """What an empty body stands for; None where a body must be sent."""
        default = inspect.signature(self.handler).parameters["body"].default
        return None if default is inspect.Parameter.empty else default

    @cached_property
    def query(self) -> TypeAdapter[Any] | None:
        """How the query string is read; None where it must be empty."""
        return TypeAdapter(self.hints["query"]) if "query" in self.hints else None

    @property
    def answer_status(self) -> HTTPStatus:
        """The status of success: the declared one, or 204 where nothing is answered."""
        return HTTPStatus.NO_CONTENT if self.hints["return"] is type(None) else self.status

    @property
    def sends_etag(self) -> bool:
        """Whether its answer has an entity tag."""
        answer = self.hints["return"]
        return answer is DesiredDocument or "etag" in getattr(answer, "model_fields", ())

    @property
    def wants_call(self) -> bool:
        """Whether the handler takes the authenticated call."""
        return "call" in self.hints
