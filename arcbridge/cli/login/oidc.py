"""OAuth 2 grants against any OpenID provider; Entra ID is one of them.

Authorization code with PKCE through the local browser (RFC 8252, RFC 7636), the device grant for
machines without one (RFC 8628), client credentials for programs, and refresh. The provider's
endpoints come from its discovery document, whose issuer must be the one that was asked for.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx

from arcbridge.cli.config import Context
from arcbridge.cli.exits import CommandError, Exit
from arcbridge.cli.login.browser import Callback
from arcbridge.cli.login.cache import Tokens

TIMEOUT_SECONDS = 15.0
BROWSER_SECONDS = 300.0
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
_SLOW_DOWN_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Provider:
    """The endpoints of an OpenID provider."""

    authorization: str
    token: str
    device: str | None

    @classmethod
    def discover(cls, issuer: str, http: httpx.Client) -> Provider:
        """Read `<issuer>/.well-known/openid-configuration`."""
        address = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
        found = _json(http.get(address), f"the provider's discovery document {address}")
        if str(found.get("issuer")).rstrip("/") != issuer.rstrip("/"):
            raise CommandError(
                Exit.DENIED, f"{address} speaks for {found.get('issuer')}, not for {issuer}"
            )
        try:
            return cls(
                authorization=found["authorization_endpoint"],
                token=found["token_endpoint"],
                device=found.get("device_authorization_endpoint"),
            )
        except KeyError as error:
            raise CommandError(Exit.DENIED, f"{address} names no {error.args[0]}") from error


@contextmanager
def _connected(context: Context) -> Iterator[tuple[Provider, httpx.Client, str]]:
    if not context.issuer:
        raise CommandError(
            Exit.USAGE,
            "no OpenID provider is known for this context",
            remedy="run: arcbridge login --issuer https://…",
        )
    with httpx.Client(timeout=TIMEOUT_SECONDS, follow_redirects=False) as http:
        try:
            yield Provider.discover(context.issuer, http), http, context.client_id
        except httpx.TransportError as error:
            raise CommandError(
                Exit.UNAVAILABLE, f"the OpenID provider does not answer: {error}"
            ) from error


def with_browser(context: Context, open_browser: Callable[[str], bool]) -> Tokens:
    """Log a person in through the browser on this machine."""
    verifier, state = secrets.token_urlsafe(48), secrets.token_urlsafe(24)
    with _connected(context) as (provider, http, client_id), Callback(state) as callback:
        query = {
            "client_id": client_id,
            "response_type": "code",
            "redirect_uri": callback.address,
            "scope": context.scope,
            "state": state,
            "code_challenge": _challenge(verifier),
            "code_challenge_method": "S256",
        }
        open_browser(f"{provider.authorization}?{urlencode(query)}")
        code = callback.wait(BROWSER_SECONDS)
        form = {
            "grant_type": "authorization_code",
            "client_id": client_id,
            "code": code,
            "redirect_uri": callback.address,
            "code_verifier": verifier,
        }
        return _tokens(http.post(provider.token, data=form))


def with_device(
    context: Context,
    show: Callable[[str, str], None],
    sleep: Callable[[float], None] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> Tokens:
    """Log a person in with a code that is typed in on another machine; `show(address, code)`."""
    with _connected(context) as (provider, http, client_id):
        if provider.device is None:
            raise CommandError(
                Exit.USAGE, "this OpenID provider has no device grant", remedy="leave out --device"
            )
        form = {"client_id": client_id, "scope": context.scope}
        grant = _json(http.post(provider.device, data=form), "the device endpoint")
        show(grant["verification_uri"], grant["user_code"])
        wait = float(grant.get("interval", 5))
        ends = monotonic() + float(grant.get("expires_in", 900))
        form = {
            "grant_type": DEVICE_GRANT,
            "client_id": client_id,
            "device_code": grant["device_code"],
        }
        while monotonic() < ends:
            sleep(wait)
            answer = http.post(provider.token, data=form)
            error = _error(answer)
            if error == "slow_down":
                wait += _SLOW_DOWN_SECONDS
            elif error != "authorization_pending":
                return _tokens(answer)
    raise CommandError(Exit.DENIED, "nobody entered the code in time")


def with_secret(context: Context, secret: str) -> Tokens:
    """Log a program in with its client id and secret."""
    with _connected(context) as (provider, http, client_id):
        form = {
            "grant_type": "client_credentials",
            "client_id": client_id,
            "client_secret": secret,
            "scope": context.scope,
        }
        return _tokens(http.post(provider.token, data=form))


def refreshed(context: Context, tokens: Tokens) -> Tokens | None:
    """New tokens for a refresh token; None when there is none, or the provider takes it no more."""
    if tokens.refresh_token is None:
        return None
    with _connected(context) as (provider, http, client_id):
        form = {
            "grant_type": "refresh_token",
            "client_id": client_id,
            "refresh_token": tokens.refresh_token,
            "scope": context.scope,
        }
        answer = http.post(provider.token, data=form)
        if _error(answer) is not None:
            return None
        fresh = _tokens(answer)
        return Tokens(
            fresh.access_token, fresh.expires_at, fresh.refresh_token or tokens.refresh_token
        )


def _challenge(verifier: str) -> str:
    """RFC 7636, 4.2."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _error(answer: httpx.Response) -> str | None:
    if answer.is_success:
        return None
    try:
        return str(answer.json().get("error", answer.status_code))
    except ValueError:
        return str(answer.status_code)


def _tokens(answer: httpx.Response) -> Tokens:
    found = _json(answer, "the token endpoint")
    return Tokens(
        access_token=found["access_token"],
        expires_at=time.time() + float(found.get("expires_in", 3600)),
        refresh_token=found.get("refresh_token"),
    )


def _json(answer: httpx.Response, what: str) -> Mapping[str, Any]:
    try:
        found = answer.json()
    except ValueError:
        found = None
    if answer.is_success and isinstance(found, dict):
        return found
    said = found.get("error_description") or found.get("error") if isinstance(found, dict) else None
    raise CommandError(Exit.DENIED, f"{what} answered {answer.status_code}: {said or 'no reason'}")
