"""The bearer token for a command: from the environment, the cache, or a provider without a person.

In this order: ARCBRIDGE_TOKEN; azure-identity where the context says so; the cached token, renewed
with its refresh token; client credentials from ARCBRIDGE_CLIENT_ID and ARCBRIDGE_CLIENT_SECRET.
It never opens a browser: only `arcbridge login` does.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from arcbridge.cli.config import TOKEN, AzureWith, Context
from arcbridge.cli.exits import CommandError, Exit
from arcbridge.cli.login.cache import TokenCache, Tokens

if TYPE_CHECKING:
    from azure import identity

    _AzureCredential = (
        identity.DefaultAzureCredential
        | identity.AzureCliCredential
        | identity.EnvironmentCredential
        | identity.ManagedIdentityCredential
        | identity.WorkloadIdentityCredential
    )

CLIENT_ID = "ARCBRIDGE_CLIENT_ID"
CLIENT_SECRET = "ARCBRIDGE_CLIENT_SECRET"  # noqa: S105 - the name of a variable


class Credential:
    """Gives a fresh token at each call, and keeps what it got."""

    def __init__(
        self,
        context: Context,
        cache: TokenCache,
        environ: Mapping[str, str] = os.environ,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._context = context
        self._cache = cache
        self._environ = environ
        self._now = now
        self._held: Tokens | None = None

    def __call__(self) -> str:
        """A bearer token. Raises CommandError (not logged in)."""
        if given := self._environ.get(TOKEN):
            return given
        if self._held is None or not self._held.is_fresh(self._now()):
            self._held = self._renew()
        return self._held.access_token

    def _renew(self) -> Tokens:
        if self._context.azure:
            return azure_tokens(self._context)
        context = as_program(self._context, self._environ)
        cached = self._cache.get(context)
        if cached is not None and cached.is_fresh(self._now()):
            return cached
        fresh = self._without_a_person(context, cached)
        if fresh is None:
            raise CommandError(
                Exit.DENIED,
                f"not logged in to {context.server}" if cached is None else "the login has expired",
                remedy="run: arcbridge login",
            )
        self._cache.put(context, fresh)
        return fresh

    def _without_a_person(self, context: Context, cached: Tokens | None) -> Tokens | None:
        if context.issuer is None:
            return None
        from arcbridge.cli.login import oidc

        if secret := self._environ.get(CLIENT_SECRET):
            return oidc.with_secret(context, secret)
        return oidc.refreshed(context, cached) if cached else None


def as_program(context: Context, environ: Mapping[str, str]) -> Context:
    """The context with the client id of the environment, when that has client credentials."""
    if environ.get(CLIENT_SECRET):
        return replace(context, client_id=environ.get(CLIENT_ID) or context.client_id)
    return context


def azure_tokens(context: Context) -> Tokens:
    """A token from azure-identity, which keeps a cache of its own."""
    from azure.core.exceptions import ClientAuthenticationError

    try:
        with _azure_credential(context.azure_with) as credential:
            found = credential.get_token(context.scope)
    except (ClientAuthenticationError, ValueError) as error:
        reason = str(getattr(error, "message", error)).splitlines()[0]
        raise CommandError(
            Exit.DENIED, f"Azure gives no token: {reason}", remedy=REMEDIES[context.azure_with]
        ) from error
    return Tokens(found.token, float(found.expires_on))


def _azure_credential(azure_with: AzureWith) -> _AzureCredential:
    """Made when it is asked for: azure-identity takes a third of a second to import."""
    from azure import identity

    client_id = os.environ.get("AZURE_CLIENT_ID") or None
    match azure_with:
        case AzureWith.ANY:
            return identity.DefaultAzureCredential()
        case AzureWith.CLI:
            return identity.AzureCliCredential()
        case AzureWith.ENVIRONMENT:
            return identity.EnvironmentCredential()
        case AzureWith.MANAGED_IDENTITY:
            return identity.ManagedIdentityCredential(client_id=client_id)
        case AzureWith.WORKLOAD_IDENTITY:
            return identity.WorkloadIdentityCredential()


REMEDIES = {
    AzureWith.ANY: "run: az login",
    AzureWith.CLI: "run: az login",
    AzureWith.ENVIRONMENT: "set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET",
    AzureWith.MANAGED_IDENTITY: "give this machine an identity, or name it in AZURE_CLIENT_ID",
    AzureWith.WORKLOAD_IDENTITY: "set AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_FEDERATED_TOKEN_FILE",
}
