"""The relay's own certificate: issued by the CA at start, renewed in place, never written to disk.

gRPC asks for the certificate and the trusted roots at each new connection, from a thread of its
own; so both stand together in one immutable value that is replaced as a whole. Open streams keep
the keys they have.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import grpc
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from relay.metrics import RelayMetrics
from shared.domain.errors import ArcBridgeError
from shared.identity.certificates import BACKDATED
from shared.identity.issuer import CertificateIssuer
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
        issuer: CertificateIssuer,
        host_names: tuple[str, ...],
        clock: Callable[[], datetime],
        metrics: RelayMetrics,
    ) -> None:
        self._issuer = issuer
        self._host_names = host_names
        self._clock = clock
        self._metrics = metrics
        self._current: ServerCertificate | None = None
        self._given: ServerCertificate | None = None
        """The one that gRPC has."""

    async def renew(self) -> ServerCertificate:
        """A new key and certificate, from the next connection on. Raises Unavailable."""
        key = ec.generate_private_key(ec.SECP256R1())
        async with asyncio.timeout(ISSUE_SECONDS):
            issued = await self._issuer.issue_server(
                key.public_key(), host_names=self._host_names, now=self._clock()
            )
        self._current = ServerCertificate(
            private_key=key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            ),
            chain=issued.pem_chain.encode(),
            client_roots=self._issuer.authority.bundle.encode(),
            issued=issued.not_before + BACKDATED,
            not_after=issued.not_after,
        )
        self._metrics.certificate_not_after.set(issued.not_after.timestamp())
        log.info("server certificate issued", serial=issued.serial, not_after=issued.not_after)
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
