"""The key that signs desired documents: made in memory, certified by the CA, gone with the process.

A signature costs some tens of microseconds here; with the CA's own key each would be a call to Key
Vault, and that key may sign certificates only.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from datetime import datetime

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from shared.contract.desired import DesiredDocument
from shared.contract.signature import DocumentSignature, signed_bytes
from shared.identity.issuer import CertificateIssuer


@dataclass(frozen=True)
class DocumentKey:
    """One key and its certificate."""

    key: ec.EllipticCurvePrivateKey = field(repr=False)
    chain: str
    """PEM, leaf first."""
    not_before: datetime
    not_after: datetime

    def signed(self, document: DesiredDocument, signed_at: datetime) -> DesiredDocument:
        """The document with its signature."""
        text = signed_bytes(document.digest, signed_at)
        value = self.key.sign(text, ec.ECDSA(hashes.SHA256()))
        signature = DocumentSignature(
            signed_at=signed_at,
            certificate_chain=self.chain,
            value=base64.b64encode(value).decode(),
        )
        return document.model_copy(update={"signature": signature})


async def new_document_key(
    issuer: CertificateIssuer, *, trust_domain: str, now: datetime
) -> DocumentKey:
    """A new key with a certificate of this issuer. Raises Unavailable while it cannot sign."""
    key = ec.generate_private_key(ec.SECP256R1())
    issued = await issuer.issue_signer(key.public_key(), trust_domain=trust_domain, now=now)
    return DocumentKey(key, issued.pem_chain, issued.not_before, issued.not_after)
