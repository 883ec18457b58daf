"""Access tokens of people and services, from Entra ID or any OpenID provider of the same shape.

RS256 only; exact audience; an issuer that fits the token's own `tid`, which must be on the
allowlist; `exp`, `nbf` and `iat` must be there, with 60 s of leeway. A person's token carries
`scp`, a service's `idtyp` = `app` and `roles`. Identity is `tid` and `oid`: never a name or an
address, which a directory's admin can change or give to someone else.

Entra's v1 tokens come from `https://sts.windows.net/{tid}/`, v2 ones from
`https://login.microsoftonline.com/{tid}/v2.0`; their audience may be the application's URI or id.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import jwt

from shared.contract.errors import ErrorCode
from shared.contract.states import Role
from shared.domain.errors import ArcBridgeError
from shared.identity import roles
from shared.identity.jwks import KeySets

MAX_CHARACTERS = 16 * 1024
LEEWAY_SECONDS = 60
SCOPE = "access"
"""The delegated permission that the client's application asks for."""
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_REQUIRED = ("iss", "aud", "exp", "nbf", "iat", "tid", "oid")


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcPolicy:
    """Whom to believe."""

    issuers: tuple[str, ...]
    """Templates with `{tid}`; each is an exact `iss` once the placeholder is filled."""
    audiences: frozenset[str]
    tenants: Mapping[str, str]
    """Allowlist: directory (`tid`) to ArcBridge tenant."""
    groups: Mapping[str, Role] = field(default_factory=dict)
    """Directory groups (object ids) that stand for a role."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a token is about."""

    tenant: str
    actor: str
    """`person:<oid>` or `service:<oid>`."""
    directory: str
    """`tid`."""
    roles: frozenset[Role]


class TokenVerifier:
    """Checks access tokens; made once per process, because it holds the key cache."""

    def __init__(self, policy: OidcPolicy, keys: KeySets, clock: Callable[[], datetime]) -> None:
        self._policy = policy
        self._keys = keys
        self._clock = clock

    async def verify(self, token: str) -> Principal:
        """Who the token is about. Raises Unauthenticated, or Unavailable without any keys."""
        issuer, key_id = self._read(token)
        key = await self._keys.key(issuer, key_id)
        if key is None:
            raise _refused()
        return self._principal(self._claims(token, key, issuer))

    def _read(self, token: str) -> tuple[str, str]:
        """Issuer and key id that the token claims, when the issuer is one that may be asked."""
        if len(token) > MAX_CHARACTERS:
            raise _refused()
        try:
            header = jwt.get_unverified_header(token)
            claims = jwt.decode(token, options={"verify_signature": False})
        except (jwt.PyJWTError, ValueError, RecursionError) as error:
            raise _refused() from error
        directory, issuer, key_id = claims.get("tid"), claims.get("iss"), header.get("kid")
        if (
            header.get("alg") != "RS256"
            or not isinstance(key_id, str)
            or not isinstance(issuer, str)
            or not isinstance(directory, str)
            or directory not in self._policy.tenants
            or issuer not in self._issuers(directory)
        ):
            raise _refused()
        return issuer, key_id

    def _issuers(self, directory: str) -> frozenset[str]:
        return frozenset(template.replace("{tid}", directory) for template in self._policy.issuers)

    def _claims(self, token: str, key: jwt.PyJWK, issuer: str) -> dict[str, Any]:
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=["RS256"],
                audience=list(self._policy.audiences),
                issuer=issuer,
                options={
                    "require": list(_REQUIRED),
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                    "strict_aud": False,
                },
            )
        except (jwt.PyJWTError, ValueError) as error:
            raise _refused() from error
        if not isinstance(claims["aud"], str) or not self._is_now(claims):
            raise _refused()
        return claims

    def _is_now(self, claims: Mapping[str, Any]) -> bool:
        """Times by our own clock (PyJWT reads the system's), with the leeway."""
        times = [claims[name] for name in ("exp", "nbf", "iat")]
        if not all(isinstance(t, int | float) and not isinstance(t, bool) for t in times):
            return False
        expires, not_before, issued = times
        now = self._clock().timestamp()
        return bool(
            now < expires + LEEWAY_SECONDS
            and not_before - LEEWAY_SECONDS <= now
            and issued - LEEWAY_SECONDS <= now
        )

    def _principal(self, claims: Mapping[str, Any]) -> Principal:
        oid, directory = claims["oid"], claims["tid"]
        if not isinstance(oid, str) or not _ID.fullmatch(oid):
            raise _refused()
        if claims.get("idtyp") == "app":
            kind, held = "service", _texts(claims.get("roles"))
            groups: tuple[str, ...] = ()
        else:
            kind, held = "person", _texts(claims.get("roles"))
            groups = _texts(claims.get("groups"))
            scopes = claims.get("scp")
            if not isinstance(scopes, str) or SCOPE not in scopes.split():
                raise _refused()
        return Principal(
            tenant=self._policy.tenants[directory],
            actor=f"{kind}:{oid}",
            directory=directory,
            roles=roles.named(held, self._policy.groups, groups),
        )


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        return ()
    return tuple(item for item in value if isinstance(item, str))


def _refused() -> ArcBridgeError:
    return ArcBridgeError(ErrorCode.UNAUTHENTICATED, "the access token does not hold")
