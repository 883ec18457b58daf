"""An agent's signed assertion (RFC 7523 style): proof of its key without forwarding a certificate.

A JWT with the header `x5t#S256` of the agent's certificate, signed by that certificate's key, for
this control plane (`aud`), about the cluster itself (`iss` = `sub` = its id), for five minutes at
most, with a `jti` that is good once. `peek` only reads which certificate is meant; nothing of the
token is to be believed before `verify`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from shared.contract.errors import ErrorCode
from shared.contract.limits import AGENT_ASSERTION_LIFETIME_MAX, CLOCK_SKEW_ALLOWED
from shared.domain.errors import ArcBridgeError

MAX_CHARACTERS = 4096
_THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{43}")
_JTI = re.compile(r"[A-Za-z0-9._~-]{8,64}")
_CLAIMS = ("iss", "sub", "aud", "iat", "exp", "jti")


@dataclass(frozen=True, slots=True)
class Assertion:
    """A verified assertion; its `jti` must still be seen for the first time."""

    subject: str
    """The cluster's id, as text."""
    jti: str
    expires_at: float
    """Unix seconds."""


def peek(token: str) -> str:
    """`x5t#S256` of the certificate that the token claims to be signed with."""
    if len(token) > MAX_CHARACTERS:
        raise _refused()
    try:
        thumbprint = jwt.get_unverified_header(token).get("x5t#S256")
    except (jwt.PyJWTError, ValueError) as error:
        raise _refused() from error
    if not isinstance(thumbprint, str) or not _THUMBPRINT.fullmatch(thumbprint):
        raise _refused()
    return thumbprint


def verify(
    token: str, *, public_key: bytes, cluster_id: str, audience: str, now: datetime
) -> Assertion:
    """Check the token against the certificate's key (SPKI, DER) and its cluster.

    Raises Unauthenticated, with one and the same answer whatever is wrong.
    """
    claims = _signed_claims(token, public_key, audience)
    issued, expires, jti = claims["iat"], claims["exp"], claims["jti"]
    if not _is_time(issued) or not _is_time(expires):
        raise _refused()
    leeway = CLOCK_SKEW_ALLOWED.total_seconds()
    seconds = now.timestamp()
    if not (
        claims["iss"] == claims["sub"] == cluster_id
        and claims["aud"] == audience
        and isinstance(jti, str)
        and _JTI.fullmatch(jti)
        and issued - leeway <= seconds < expires + leeway
        and 0 < expires - issued <= AGENT_ASSERTION_LIFETIME_MAX.total_seconds()
    ):
        raise _refused()
    return Assertion(subject=cluster_id, jti=jti, expires_at=expires + leeway)


def _signed_claims(token: str, public_key: bytes, audience: str) -> dict[str, Any]:
    """The claims, when the signature is of this key. Times are judged by our own clock later."""
    try:
        key = load_der_public_key(public_key)
        claims: dict[str, Any] = jwt.decode(
            token,
            key,  # type: ignore[arg-type] # the algorithm below fits its kind
            algorithms=[_algorithm(key)],
            audience=audience,
            options={
                "require": list(_CLAIMS),
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
            },
        )
    except (jwt.PyJWTError, ValueError, UnsupportedAlgorithm) as error:
        raise _refused() from error
    return claims


def _algorithm(key: object) -> str:
    """The one algorithm that a key is used with: the token has no say in it."""
    match key:
        case ec.EllipticCurvePublicKey(curve=ec.SECP256R1()):
            return "ES256"
        case ec.EllipticCurvePublicKey(curve=ec.SECP384R1()):
            return "ES384"
        case rsa.RSAPublicKey():
            return "RS256"
        case _:
            raise ValueError("a key of a kind that is never certified")


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e11


def _refused() -> ArcBridgeError:
    return ArcBridgeError(ErrorCode.UNAUTHENTICATED, "the agent's assertion does not hold")
