"""How declared endpoints become Azure Functions.

The Function that is registered has exactly the one parameter `req` and a plain return annotation:
the Functions worker refuses the whole app otherwise. It is not wrapped with `__wrapped__` either,
because the worker would look through it at the endpoint's own parameters.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TypeVar

import azure.functions as func
from azure.functions import HttpRequest, HttpResponse

from functions.access import rule_for
from functions.edge import bodies
from functions.edge.endpoint import Endpoint, Handler, IfMatch
from functions.edge.pipeline import serve
from shared.contract import limits
from shared.contract.errors import ErrorCode
from shared.services.rate_limit import Limit

HandlerT = TypeVar("HandlerT", bound=Handler)


class Resource(func.Blueprint):
    """A blueprint whose endpoints share a tag in the document."""

    def __init__(self, tag: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # the base class leaves it untyped
        self.tag = tag
        self.endpoints: list[Endpoint] = []

    def endpoint(
        self,
        method: str,
        route: str,
        *,
        status: HTTPStatus = HTTPStatus.OK,
        accepts: tuple[str, ...] = (bodies.JSON,),
        body_limit: int = limits.OTHER_BODY_BYTES,
        if_match: IfMatch = IfMatch.IGNORED,
        limit: Limit | None = None,
        shown_once: bool = False,
        problems: tuple[ErrorCode, ...] = (),
        content_type: str | None = None,
    ) -> Callable[[HandlerT], HandlerT]:
        """Register a coroutine as the Function `<its name>` at `/api/<route>`.

        `limit`: how often the caller's tenant, or the calling cluster, may call it. `shown_once`:
        the answer holds a secret, so it is never kept for a repeated Idempotency-Key. `problems`:
        codes that the document should list beside those that follow from the declaration.
        `content_type`: of an answer that is no model.
        """

        def register(handler: HandlerT) -> HandlerT:
            endpoint = Endpoint(
                handler=handler,
                method=method,
                route=route,
                tag=self.tag,
                status=status,
                accepts=accepts,
                body_limit=body_limit,
                if_match=if_match,
                limit=limit,
                shown_once=shown_once,
                problems=problems,
                content_type=content_type,
            )
            rule_for(endpoint.name)
            self.endpoints.append(endpoint)
            self.route(route=route, methods=[method])(_function(endpoint))
            return handler

        return register


def _function(endpoint: Endpoint) -> Callable[[HttpRequest], Awaitable[HttpResponse]]:
    async def function(req: HttpRequest) -> HttpResponse:
        return await serve(endpoint, req)

    for attribute in ("__name__", "__qualname__", "__module__", "__doc__"):
        setattr(function, attribute, getattr(endpoint.handler, attribute))
    return function
