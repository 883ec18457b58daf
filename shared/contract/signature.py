"""How a desired document is signed: what is signed, and who may sign.

The signer is a short-lived certificate of the CA that the agents trust, for one purpose only. Its
name is a URI that no cluster's certificate can have.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import StringConstraints

from shared.contract.base import Timestamp, WireModel

_PURPOSE = "arcbridge desired document v1"


class DocumentSignature(WireModel):
    """A signature over a document's digest and the moment at which it was true."""

    signed_at: Timestamp
    """By the database's clock; a document that is older than the one held is not acted on."""
    certificate_chain: Annotated[str, StringConstraints(max_length=16 * 1024)]
    """PEM, leaf first."""
    value: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+/]{8,1024}={0,2}$")]
    """Base64 of an ECDSA signature (DER) with SHA-256."""


def signed_bytes(digest: str, signed_at: datetime) -> bytes:
    """What is signed. The digest covers tenant, cluster and every extension."""
    moment = signed_at.astimezone(UTC).isoformat(timespec="microseconds")
    return f"{_PURPOSE}\n{digest}\n{moment}\n".encode()


def signer_uri(trust_domain: str) -> str:
    """The name of who signs documents in a trust domain."""
    return f"spiffe://{trust_domain}/control-plane/documents"
