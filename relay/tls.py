"""The relay's own certificate: issued by the CA at start, renewed in place, never written to disk.

It is of the generation of the CA that serves, and is replaced when another one does. gRPC asks for
the certificate and the trusted roots at each new connection, from a thread of its own; so both
stand together in one immutable value that is replaced as a whole. Open streams keep the keys they
have.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import grpc
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from relay.metrics import RelayMetrics
from shared.domain.errors import ArcBridgeError
from shared.identity.trust import Trust
from shared.services.authority import CertificateAuthority
from shared.telemetry.logs import get_logger

log = get_logger(__name__)

RETRY = timedelta(minutes=1)
ISSUE_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class ServerCertificate:
    """A key, its chain and the roots that clients must chain to; all PEM."""

    private_key: bytes
    chain: bytes
    client_roots: bytes
    generation: str
    """Of the CA that signed it."""
    issued: datetime
    not_after: datetime

    @property
    def renew_at(self) -> datetime:
        """Half of its life."""
        return self.issued + (self.not_after - self.issued) / 2

    def configuration(self) -> grpc.ServerCertificateConfiguration:
        """As gRPC takes it."""
        return grpc.ssl_server_certificate_configuration(
            [(self.private_key, self.chain)], self.client_roots
        )


class ServerIdentity:
    """Holds the certificate and renews it (`run`)."""

    def __init__(
        self,
        ca: CertificateAuthority,
        host_names: tuple[str, ...],
        clock: Callable[[], datetime],
        metrics: RelayMetrics,
    ) -> None:
        self._ca = ca
        self._host_names = host_names
        self._clock = clock
        self._metrics = metrics
        self._trust: Trust | None = None
        self._renewing = asyncio.Lock()
        self._current: ServerCertificate | None = None
        self._given: ServerCertificate | None = None
        """The one that gRPC has."""

    @property
    def generation(self) -> str:
        """Of the CA that signed the certificate in use; empty while there is none."""
        return self._current.generation if self._current else ""

    async def use(self, trust: Trust) -> None:
        """From the next connection on take these clients, and present what serves now.

        Raises Unavailable when the certificate that is due cannot be had; clients are taken anyway.
        """
        self._trust = trust
        if self._current is not None:
            self._current = replace(self._current, client_roots=trust.bundle.encode())
        if self.generation != trust.serving(self._clock()).id:
            await self.renew()

    async def renew(self) -> ServerCertificate:
        """A new key and certificate, from the next connection on. Raises Unavailable."""
        async with self._renewing:
            trust = self._trust or await self._ca.trust()
            generation = trust.serving(self._clock())
            key = ec.generate_private_key(ec.SECP256R1())
            now = self._clock()
            async with asyncio.timeout(ISSUE_SECONDS):
                issued = await self._ca.issuer(generation).issue_server(
                    key.public_key(), host_names=self._host_names, now=now
                )
            self._current = ServerCertificate(
                private_key=key.private_bytes(
                    serialization.Encoding.PEM,
                    serialization.PrivateFormat.PKCS8,
                    serialization.NoEncryption(),
                ),
                chain=issued.pem_chain.encode(),
                # What was learnt while it was being signed counts.
                client_roots=(self._trust or trust).bundle.encode(),
                generation=generation.id,
                issued=now,
                not_after=issued.not_after,
            )
        self._metrics.certificate_not_after.set(issued.not_after.timestamp())
        log.info(
            "server certificate issued",
            serial=issued.serial,
            generation=generation.id,
            not_after=issued.not_after,
        )
        return self._current

    async def credentials(self) -> grpc.ServerCredentials:
        """Credentials that demand a client certificate and follow every renewal."""
        self._given = self._current or await self.renew()
        return grpc.dynamic_ssl_server_credentials(
            self._given.configuration(),
            self._configuration,  # type: ignore[arg-type] # None is documented, not in the stubs
            require_client_authentication=True,
        )

    async def run(self) -> None:
        """Renew at half of each certificate's life, until cancelled."""
        while True:
            current = self._current or await self.renew()
            await asyncio.sleep(max((current.renew_at - self._clock()).total_seconds(), 1.0))
            try:
                await self.renew()
            except (ArcBridgeError, TimeoutError) as error:
                log.warning("server certificate cannot be renewed", error=str(error))
                await asyncio.sleep(RETRY.total_seconds())

    def _configuration(self) -> grpc.ServerCertificateConfiguration | None:
        """Asked by gRPC's thread before each handshake; None for "as before".

        Each configuration makes gRPC build its TLS context anew, which costs more than a handshake.
        """
        current = self._current
        if current is None or current is self._given:
            return None
        self._given = current
        return current.configuration()
