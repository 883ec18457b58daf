"""Who asks: the owner of the bearer token, or whom that one acts as.

The cluster's own token is an administrator's, of `system:masters`. A service account's token comes
from its `token` subresource, is signed with the cluster's, and is good until it expires or the
account is gone. There are no client certificates, no OIDC, and no anonymous requests.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

MASTERS: Final = "system:masters"
AUTHENTICATED: Final = "system:authenticated"
_ACCOUNTS: Final = "system:serviceaccounts"
_ACCOUNT: Final = "system:serviceaccount:"


@dataclass(frozen=True)
class User:
    """A name and the groups it is in."""

    name: str
    groups: frozenset[str]

    @property
    def info(self) -> dict[str, Any]:
        """As `userInfo` of a review."""
        return {"username": self.name, "groups": sorted(self.groups)}


ADMINISTRATOR: Final = User("simulated-admin", frozenset({MASTERS, AUTHENTICATED}))


@dataclass(frozen=True)
class Claims:
    """What a service account's token says."""

    namespace: str
    name: str
    uid: str
    expires: int
    """Seconds since 1970."""


def service_account(namespace: str, name: str) -> User:
    """The user that a service account is."""
    groups = {_ACCOUNTS, f"{_ACCOUNTS}:{namespace}", AUTHENTICATED}
    return User(f"{_ACCOUNT}{namespace}:{name}", frozenset(groups))


def account_of(user_name: str) -> tuple[str, str] | None:
    """Namespace and name of the service account with this user name."""
    if not user_name.startswith(_ACCOUNT):
        return None
    namespace, _, name = user_name.removeprefix(_ACCOUNT).partition(":")
    return (namespace, name) if namespace and name else None


def impersonated(headers: Mapping[str, str]) -> User | None:
    """Whom a request acts as; None when it acts as itself.

    Source: k8s.io/apiserver, pkg/endpoints/filters/impersonation.go.
    """
    name = headers.get("impersonate-user", "")
    if not name:
        return None
    given = {group.strip() for group in headers.get("impersonate-group", "").split(",")} - {""}
    account = account_of(name)
    if account is not None and not given:
        return service_account(*account)
    return User(name, frozenset({*given, AUTHENTICATED}))


def mint(claims: Claims, secret: str) -> str:
    """A token that says so."""
    body = base64.urlsafe_b64encode(json.dumps(vars(claims)).encode()).decode()
    return f"{body}.{_signature(body, secret)}"


def read_token(token: str, secret: str) -> Claims | None:
    """What a token says; None when it was not made with this secret."""
    body, _, signature = token.rpartition(".")
    if not hmac.compare_digest(_signature(body, secret).encode(), signature.encode()):
        return None
    try:
        return Claims(**json.loads(base64.urlsafe_b64decode(body)))
    except (ValueError, TypeError, binascii.Error):
        return None


def _signature(body: str, secret: str) -> str:
    return hmac.new(secret.encode(), body.encode(), hashlib.sha256).hexdigest()
