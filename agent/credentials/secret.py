"""Keeps the identity in a Secret: one write, so the old one is intact until the new one is stored.

A key that a certificate was asked for is stored before the question is sent: an answer that gets
lost, or an agent that dies in between, asks again with the same key and gets the same answer.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from pydantic import ValidationError

from agent.credentials.identity import Identity, Registration
from agent.credentials.trust import UntrustedControlPlane
from agent.errors import KubeAlreadyExists, KubeNotFound
from agent.kube.client import KubeClient
from shared.telemetry.logs import get_logger

log = get_logger(__name__)

IDENTITY_SECRET = "arcbridge-agent-identity"  # noqa: S105 - the name of a Secret, not one
_KEY, _CHAIN, _BUNDLE, _REGISTRATION = "tls.key", "tls.crt", "ca.crt", "registration.json"
_PENDING_KEY = "pending.key"


class IdentitySecret:
    """The Secret `arcbridge-agent-identity` of the agent's namespace."""

    def __init__(self, kube: KubeClient, namespace: str) -> None:
        self._kube = kube
        self._namespace = namespace

    async def load(self) -> Identity | None:
        """The stored identity; None when there is none, or it is not usable (logged)."""
        data = await self._data()
        if _REGISTRATION not in data:
            return None
        try:
            return Identity(
                key_pem=data[_KEY],
                chain_pem=data[_CHAIN],
                bundle_pem=data[_BUNDLE],
                registration=Registration.model_validate_json(data[_REGISTRATION]),
            ).checked()
        except (KeyError, ValidationError, ValueError, UntrustedControlPlane) as error:
            log.warning("stored identity is not usable", reason=type(error).__name__)
            return None

    async def pending_key(self) -> str | None:
        """The key of a request whose answer was not stored."""
        return (await self._data()).get(_PENDING_KEY)

    async def save_pending_key(self, key_pem: str) -> None:
        """Keep the key of a request that is about to be sent."""
        await self._write({_PENDING_KEY: key_pem})

    async def save(self, identity: Identity) -> None:
        """Store an identity; the pending key goes with the same write."""
        await self._write(
            {
                _KEY: identity.key_pem,
                _CHAIN: identity.chain_pem,
                _BUNDLE: identity.bundle_pem,
                _REGISTRATION: identity.registration.model_dump_json(),
                _PENDING_KEY: None,
            }
        )

    async def _data(self) -> dict[str, str]:
        return await read_secret(self._kube, self._namespace, IDENTITY_SECRET)

    async def _write(self, entries: dict[str, str | None]) -> None:
        """One merge patch: the API server takes all of it or nothing."""
        data = {name: None if text is None else _encode(text) for name, text in entries.items()}
        secrets = await self._kube.resource("v1", "Secret")
        try:
            await self._kube.patch(secrets, IDENTITY_SECRET, self._namespace, {"data": data})
        except KubeNotFound:
            try:
                await self._kube.create(secrets, self._new({k: v for k, v in data.items() if v}))
            except KubeAlreadyExists:
                await self._kube.patch(secrets, IDENTITY_SECRET, self._namespace, {"data": data})

    def _new(self, data: dict[str, str]) -> dict[str, Any]:
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": IDENTITY_SECRET,
                "namespace": self._namespace,
                "labels": {"app.kubernetes.io/part-of": "arcbridge"},
            },
            "type": "Opaque",
            "data": data,
        }


async def read_secret(kube: KubeClient, namespace: str, name: str) -> dict[str, str]:
    """A Secret's data as text; empty when there is no such Secret."""
    try:
        secret = await kube.get(await kube.resource("v1", "Secret"), name, namespace)
    except KubeNotFound:
        return {}
    try:
        return {
            key: base64.b64decode(value).decode()
            for key, value in (secret.get("data") or {}).items()
        }
    except (binascii.Error, UnicodeDecodeError):
        log.warning("a secret holds what is not text", name=name)
        return {}


def _encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
