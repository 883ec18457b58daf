"""Fetches an identity provider's documents over HTTPS: one client, small answers, no redirects."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import httpx

MAX_BYTES = 512 * 1024
REQUEST_SECONDS = 5.0
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class KeyFetcher:
    """`fetch` for `shared.identity.jwks.KeySets`."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    @classmethod
    @asynccontextmanager
    async def open(cls) -> AsyncIterator[KeyFetcher]:
        """A fetcher for the length of the block."""
        import httpx

        async with httpx.AsyncClient(timeout=REQUEST_SECONDS, follow_redirects=False) as client:
            yield cls(client)

    async def fetch(self, url: str) -> Mapping[str, Any]:
        """The JSON object at `url`. Raises OSError or ValueError.

        Plain HTTP is for an issuer on loopback, in development: keys that anyone on the way could
        replace would be worth nothing.
        """
        import httpx

        parts = urlsplit(url)
        if parts.scheme != "https" and parts.hostname not in LOOPBACK:
            raise ValueError("signing keys are fetched over https only")
        body = bytearray()
        try:
            async with self._client.stream("GET", url) as answer:
                if answer.status_code != 200:
                    raise OSError(f"{url} answered {answer.status_code}")
                async for part in answer.aiter_bytes():
                    body += part
                    if len(body) > MAX_BYTES:
                        raise ValueError(f"{url} answered more than {MAX_BYTES} bytes")
        except httpx.HTTPError as error:
            raise OSError(f"{url} cannot be read: {error!r}") from error
        found = json.loads(body)
        if not isinstance(found, dict):
            raise ValueError(f"{url} answered no JSON object")  # noqa: TRY004 - what KeySets awaits
        return found
