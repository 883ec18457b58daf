"""An identity provider's signing keys, fetched seldom and kept long (RFC 7517).

Why not PyJWT's client: it fetches once for each unknown key id, so that junk tokens become a flood
on the provider, and it forgets good keys when a fetch fails. Here:
* keys are fetched again after an hour; while that fails, the last good ones serve for 24 hours;
* an unknown key id causes at most one fetch in 5 minutes, whatever arrives;
* callers that wait at once share one fetch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jwt

from shared.contract.errors import ErrorCode
from shared.domain.errors import ArcBridgeError
from shared.telemetry.logs import get_logger

REFRESH_SECONDS = 3600.0
KEPT_SECONDS = 24 * 3600.0
UNKNOWN_KEY_SECONDS = 300.0
RETRY_SECONDS = 30.0
"""Between fetches while the provider does not answer."""
FETCH_SECONDS = 10.0
MAX_KEYS = 100
MIN_RSA_BITS = 2048

_log = get_logger(__name__)

Fetch = Callable[[str], Awaitable[Mapping[str, Any]]]
"""Gets a JSON object from a URL; raises OSError or ValueError."""


@dataclass(slots=True)
class _Cache:
    keys: dict[str, jwt.PyJWK] = field(default_factory=dict)
    fetched_at: float | None = None
    tried_at: float | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class KeySets:
    """The signing keys of each issuer, by key id. `monotonic` gives seconds."""

    def __init__(self, fetch: Fetch, monotonic: Callable[[], float]) -> None:
        self._fetch = fetch
        self._now = monotonic
        self._caches: dict[str, _Cache] = {}

    async def key(self, issuer: str, key_id: str) -> jwt.PyJWK | None:
        """The issuer's RSA key of that id; None when it has none.

        `issuer` must be one that is trusted: its configuration is fetched. Raises Unavailable while
        the provider does not answer and no key is left that may still be used.
        """
        cache = self._caches.setdefault(issuer, _Cache())
        refreshing = cache.lock.locked() and key_id in cache.keys
        if self._wants_fetch(cache, key_id) and not refreshing:
            # The lock makes a flood wait for one fetch; the second look sees what it brought. Who
            # has a key that is known does not wait for others' refreshing.
            async with cache.lock:
                if self._wants_fetch(cache, key_id):
                    await self._refresh(issuer, cache)
        if cache.fetched_at is None or self._now() - cache.fetched_at > KEPT_SECONDS:
            raise ArcBridgeError(
                ErrorCode.UNAVAILABLE,
                "the identity provider does not answer, so the token cannot be checked",
                retry_after=RETRY_SECONDS,
            )
        return cache.keys.get(key_id)

    def _wants_fetch(self, cache: _Cache, key_id: str) -> bool:
        since_try = self._since(cache.tried_at)
        if cache.fetched_at is None or self._since(cache.fetched_at) > REFRESH_SECONDS:
            return since_try > RETRY_SECONDS
        return key_id not in cache.keys and since_try > UNKNOWN_KEY_SECONDS

    def _since(self, moment: float | None) -> float:
        return float("inf") if moment is None else self._now() - moment

    async def _refresh(self, issuer: str, cache: _Cache) -> None:
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                keys = await self._load(issuer)
        except (OSError, ValueError, TypeError, KeyError, jwt.PyJWTError) as error:
            # TimeoutError is an OSError. The keys at hand go on serving.
            _log.warning("signing keys not fetched", issuer=issuer, error=repr(error))
            return
        finally:
            cache.tried_at = self._now()
        cache.keys, cache.fetched_at = keys, self._now()
        _log.info("signing keys fetched", issuer=issuer, keys=len(keys))

    async def _load(self, issuer: str) -> dict[str, jwt.PyJWK]:
        """Discovery (OpenID Connect Discovery 1.0, 4), then the key set it names."""
        configuration = await self._fetch(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        if configuration["issuer"] != issuer:
            raise ValueError("the discovery document is another issuer's")
        document = await self._fetch(configuration["jwks_uri"])
        found = {}
        for entry in document["keys"][:MAX_KEYS]:
            if _is_signing_key(entry):
                found[entry["kid"]] = jwt.PyJWK(entry, algorithm="RS256")
        if not found:
            raise ValueError("the key set has no RSA signing key")
        return found


def _is_signing_key(entry: object) -> bool:
    return (
        isinstance(entry, dict)
        and entry.get("kty") == "RSA"
        and entry.get("use", "sig") == "sig"
        and entry.get("alg", "RS256") == "RS256"
        and isinstance(entry.get("kid"), str)
        # The modulus in base64url: a short one is no key to trust.
        and len(str(entry.get("n", ""))) * 6 >= MIN_RSA_BITS
    )
