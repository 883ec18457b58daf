"""The identity a cluster was given: key, certificate, trust, and where to go with them."""

from __future__ import annotations

import base64
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Self
from uuid import UUID

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from agent.credentials.keys import load_key
from agent.credentials.trust import check_leaf, trusted_bundle
from shared.contract.base import Name, WireModel
from shared.contract.ca import bundle_digest
from shared.contract.registration import AgentSettings, RegisterResponse


class Registration(WireModel):
    """What the control plane said of the cluster when it joined; no secret."""

    control_plane_url: str
    cluster_id: UUID
    tenant: Name
    cluster_name: Name
    relay_address: str
    audience: str
    settings: AgentSettings


@dataclass(frozen=True)
class Identity:
    """One certificate and its key. Holds a secret: it has no representation."""

    key_pem: str
    chain_pem: str
    bundle_pem: str
    registration: Registration

    @classmethod
    def from_answer(
        cls, key_pem: str, control_plane_url: str, ca_pin: str, answer: RegisterResponse
    ) -> Self:
        """Take a registration's answer. Raises UntrustedControlPlane unless the pin covers it."""
        registration = Registration(
            control_plane_url=control_plane_url,
            cluster_id=answer.cluster_id,
            tenant=answer.tenant,
            cluster_name=answer.cluster_name,
            relay_address=answer.relay_address,
            audience=answer.audience,
            settings=answer.settings,
        )
        bundle = trusted_bundle(answer.ca_bundle, ca_pin)
        return cls(key_pem, answer.certificate_chain, bundle, registration).checked()

    def renewed(self, key_pem: str, chain_pem: str, bundle_pem: str) -> Identity:
        """The same registration with a new key and certificate, checked like the first."""
        return replace(self, key_pem=key_pem, chain_pem=chain_pem, bundle_pem=bundle_pem).checked()

    def trusting(self, bundle_pem: str) -> Identity:
        """The same key and certificate with other roots. Raises UntrustedControlPlane for roots
        that the certificate does not chain to."""
        return replace(self, bundle_pem=bundle_pem).checked()

    def checked(self) -> Self:
        """Itself. Raises UntrustedControlPlane unless key, certificate and roots fit together."""
        public = self.key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        check_leaf(self.chain_pem, self.bundle_pem, public)
        return self

    @cached_property
    def key(self) -> ec.EllipticCurvePrivateKey:
        """The private key."""
        return load_key(self.key_pem)

    @cached_property
    def leaf(self) -> x509.Certificate:
        """The agent's own certificate."""
        return x509.load_pem_x509_certificates(self.chain_pem.encode())[0]

    @cached_property
    def thumbprint(self) -> str:
        """`x5t#S256` of the leaf (RFC 7515 section 4.1.8): base64url, no padding."""
        return (
            base64.urlsafe_b64encode(self.leaf.fingerprint(hashes.SHA256())).rstrip(b"=").decode()
        )

    @cached_property
    def bundle_digest(self) -> str:
        """Of the roots: what the relay is told."""
        return bundle_digest(self.bundle_pem)

    @property
    def serial(self) -> str:
        """The leaf's serial, hexadecimal."""
        return f"{self.leaf.serial_number:x}"

    @property
    def not_before(self) -> datetime:
        """Start of the leaf's life."""
        return self.leaf.not_valid_before_utc

    @property
    def not_after(self) -> datetime:
        """End of the leaf's life."""
        return self.leaf.not_valid_after_utc

    def __repr__(self) -> str:
        return f"Identity({self.registration.cluster_name}, serial {self.serial})"
