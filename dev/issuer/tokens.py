"""The claims of the tokens, as Entra ID's version 2.0 tokens have them. Pure.

Source: learn.microsoft.com/entra/identity-platform/access-token-claims-reference
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from dev.issuer.directory import Application, Client, User


@dataclass(frozen=True)
class Issuance:
    """What tokens have in common that are issued in one directory at one moment."""

    issuer: str
    tid: str
    now: datetime
    lifetime: timedelta
    token_id: str
    """Random; becomes `uti`."""

    def common(self) -> dict[str, Any]:
        """Claims of every token."""
        issued = int(self.now.timestamp())
        return {
            "iss": self.issuer,
            "iat": issued,
            "nbf": issued,
            "exp": issued + int(self.lifetime.total_seconds()),
            "tid": self.tid,
            "uti": self.token_id,
            "ver": "2.0",
        }


def user_access_token(
    issuance: Issuance, application: Application, user: User, client: Client
) -> dict[str, Any]:
    """A delegated token: the client acts for the user, within `scp` and the user's `roles`."""
    return issuance.common() | {
        "aud": application.id,
        "azp": client.id,
        "azpacr": "1" if client.confidential else "0",
        "name": user.name,
        "oid": user.oid,
        "preferred_username": user.name,
        "roles": list(user.roles),
        "scp": application.scope,
        "sub": pairwise_subject(user.oid, application.id),
    }


def client_access_token(
    issuance: Issuance, application: Application, client: Client
) -> dict[str, Any]:
    """An application token: the client acts for itself, with `roles` and without `scp`."""
    return issuance.common() | {
        "aud": application.id,
        "azp": client.id,
        "azpacr": "1",
        "idtyp": "app",
        "oid": client.oid,
        "roles": list(client.roles),
        "sub": client.oid,
    }


def id_token(issuance: Issuance, user: User, client: Client, nonce: str | None) -> dict[str, Any]:
    """An ID token (OpenID Connect Core 2), which says to the client who signed in."""
    claims = issuance.common() | {
        "aud": client.id,
        "name": user.name,
        "oid": user.oid,
        "preferred_username": user.name,
        "sub": pairwise_subject(user.oid, client.id),
    }
    return claims | ({"nonce": nonce} if nonce else {})


def pairwise_subject(oid: str, audience: str) -> str:
    """A subject that differs per audience, as Entra ID's do: nobody may rely on `sub` alone."""
    return hashlib.sha256(f"{oid}/{audience}".encode()).hexdigest()[:43]
