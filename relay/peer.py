"""Who is at the other end: read from the certificate of the TLS handshake and from nothing else.

TLS has proved the chain and the key; `shared.identity.peer` checks what the certificate is for and
whom it names; whether its serial is a current one and not revoked, Postgres says at the admission.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from shared.identity.issuer import Authority
from shared.identity.peer import Peer, PeerFlaw, PeerRefusedError, check_peer
from shared.services.cluster_key import ClusterKey


@dataclass(frozen=True, slots=True)
class PeerReader:
    """Reads the agent out of a call's authentication context."""

    authorities: Callable[[], tuple[Authority, ...]]
    """The issuing CAs that are good now."""
    trust_domain: str

    def read(self, auth_context: Mapping[str, Iterable[bytes]], now: datetime) -> Peer:
        """The agent. Raises PeerRefusedError for anyone else."""
        leaf = next(iter(auth_context.get("x509_pem_cert", ())), None)
        if leaf is None:
            raise PeerRefusedError(PeerFlaw.UNREADABLE)
        return check_peer(
            leaf, authorities=self.authorities(), trust_domain=self.trust_domain, now=now
        )


def key_of(peer: Peer) -> ClusterKey:
    """The peer's cluster."""
    return ClusterKey(peer.tenant, peer.cluster_id)
