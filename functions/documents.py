"""The API's own description: the OpenAPI document and a page to read it."""

from __future__ import annotations

import json
from functools import cache

from functions.edge.endpoint import RawAnswer
from functions.edge.resource import Resource

api = Resource("platform")
_CACHED = {"Cache-Control": "public, max-age=300"}
_PAGE_POLICY = {
    **_CACHED,
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
}


@api.endpoint("GET", "openapi.json", content_type="application/json")
async def openapi() -> RawAnswer:
    """The OpenAPI 3.1 document of this API."""
    return RawAnswer(_document(), "application/json", _CACHED)


@api.endpoint("GET", "docs", content_type="text/html")
async def docs() -> RawAnswer:
    """The same, to read."""
    return RawAnswer(_page(), "text/html; charset=utf-8", _PAGE_POLICY)


# Both are made at the first request: they need every other module of the app.
@cache
def _document() -> bytes:
    from functions.openapi.document import build
    from functions.registry import endpoints

    return json.dumps(build(endpoints()), separators=(",", ":")).encode()


@cache
def _page() -> bytes:
    from functions.openapi.page import render

    return render(json.loads(_document())).encode()
