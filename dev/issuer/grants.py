"""Authorization codes with PKCE, checked as RFC 6749, RFC 7636 and RFC 8252 say. No I/O.

Codes live five minutes, work once, and only for the client, redirect address and verifier that they
were made for. PKCE with S256 is required of everyone.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from dev.issuer.directory import User

CODE_LIFETIME = timedelta(minutes=5)
MAX_CODES = 1000
LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})


class GrantError(Exception):
    """An OAuth error: `error` is its registered code, the text says what is wrong."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error = error


@dataclass(frozen=True)
class Request:
    """An authorization request that has been checked."""

    tid: str
    client_id: str
    redirect_uri: str
    code_challenge: str
    scope: str
    state: str | None = None
    nonce: str | None = None


@dataclass(frozen=True)
class Code:
    """What a code stands for."""

    request: Request
    user: User
    expires: datetime


class Codes:
    """The codes that have been handed out and not used."""

    def __init__(self) -> None:
        self._codes: dict[str, Code] = {}

    def issue(self, code: str, request: Request, user: User, now: datetime) -> None:
        """Keep a new random code; beyond 1,000 open ones the oldest is forgotten."""
        while len(self._codes) >= MAX_CODES:
            self._codes.pop(next(iter(self._codes)))
        self._codes[code] = Code(request, user, now + CODE_LIFETIME)

    def redeem(
        self,
        code: str,
        *,
        tid: str,
        client_id: str,
        redirect_uri: str,
        verifier: str,
        now: datetime,
    ) -> Code:
        """Use a code up; raises GrantError `invalid_grant`, after which it is gone as well."""
        found = self._codes.pop(code, None)
        if found is None or found.expires < now:
            raise GrantError("invalid_grant", "the code is unknown, used or expired")
        request = found.request
        if (request.tid, request.client_id, request.redirect_uri) != (tid, client_id, redirect_uri):
            raise GrantError("invalid_grant", "the code was made for another request")
        if not hmac.compare_digest(challenge(verifier), request.code_challenge):
            raise GrantError("invalid_grant", "the code_verifier does not fit")
        return found


def challenge(verifier: str) -> str:
    """The S256 code challenge of a verifier (RFC 7636, 4.2)."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def is_loopback_redirect(uri: str) -> bool:
    """Whether a program on this machine listens there, on any port (RFC 8252, 7.3)."""
    parts = urlsplit(uri)
    return parts.scheme == "http" and parts.hostname in LOOPBACK_HOSTS and not parts.fragment
