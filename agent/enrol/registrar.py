"""One registration: a stored key, a request, an answer that is checked and stored.

The order is what makes it safe to die anywhere: the key is stored before it is sent, the identity
before the token is taken away.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from agent.api.client import register
from agent.api.transport import Transport
from agent.cluster.resource import ClusterSpec
from agent.credentials.identity import Identity
from agent.credentials.keys import certificate_request, new_key
from agent.credentials.secret import IdentitySecret, read_secret
from agent.errors import KubeError
from agent.kube.client import KubeClient
from shared.contract.registration import ClusterFacts, RegisterRequest
from shared.telemetry.logs import get_logger

log = get_logger(__name__)

TOKEN_KEY = "token"  # noqa: S105 - the name of an entry
TOKEN_CHARACTERS = (16, 256)
PIN_KEY = "ca-pin"
"""Beside the token: the root that it was made under. The resource's may be of an earlier one."""
_PIN = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class Registrar:
    """Registers one cluster."""

    kube: KubeClient
    namespace: str
    secret: IdentitySecret
    ca_file: Path | None
    on_date: Callable[[datetime], None]

    async def token(self, spec: ClusterSpec) -> str | None:
        """The bootstrap token; None when there is none (or one that cannot be)."""
        data = await read_secret(self.kube, self.namespace, spec.bootstrap_secret)
        token = data.get(TOKEN_KEY, "").strip()
        least, most = TOKEN_CHARACTERS
        return token if least <= len(token) <= most else None

    async def pin(self, spec: ClusterSpec) -> str:
        """The root to trust in the answer: the one that came with the token, else the resource's.

        Whoever may write the Secret decides by the token which control plane certifies us anyway.
        """
        data = await read_secret(self.kube, self.namespace, spec.bootstrap_secret)
        pin = data.get(PIN_KEY, "").strip()
        return pin if _PIN.fullmatch(pin) else spec.ca_pin

    async def register(self, spec: ClusterSpec, token: str, facts: ClusterFacts) -> Identity:
        """Register and store the identity.

        Raises ControlPlaneRefused, ControlPlaneUnreachable, UntrustedControlPlane, InsecureUrl
        and KubeError; in each case the call may be repeated.
        """
        key = await self.secret.pending_key()
        if key is None:
            key = new_key()
            await self.secret.save_pending_key(key)
        pin = await self.pin(spec)
        request = RegisterRequest(
            token=token,
            csr=certificate_request(key, spec.cluster_name),
            cluster_name=spec.cluster_name,
            facts=facts,
            labels=spec.labels,
        )
        transport = Transport(spec.control_plane_url, ca_file=self.ca_file, on_date=self.on_date)
        try:
            answer = await register(transport, request)
        finally:
            await transport.close()
        identity = await asyncio.to_thread(
            Identity.from_answer, key, spec.control_plane_url, pin, answer
        )
        await self.secret.save(identity)
        await self._take_token_away(spec)
        return identity

    async def _take_token_away(self, spec: ClusterSpec) -> None:
        """A used token is of no use to us, and of none to anyone who reads the Secret later."""
        try:
            secrets = await self.kube.resource("v1", "Secret")
            await self.kube.patch(
                secrets,
                spec.bootstrap_secret,
                self.namespace,
                {"data": {TOKEN_KEY: None, PIN_KEY: None}},
            )
        except KubeError as error:
            # It is used up, so it may as well stay; the next installation replaces it.
            log.warning("used bootstrap token could not be removed", error=str(error))
