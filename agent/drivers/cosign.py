"""Checks the signatures that cosign puts beside an artifact in its registry, by a public key. Pure.

Source: cosign's SIGNATURE_SPEC and the "simple signing" payload it takes from containers/image.
A signature lies under the tag `sha256-<digest>.sig`: each layer is a payload that names the digest,
the signature over its bytes stands in an annotation. Keyless signatures, which would need the roots
of a certificate authority and a transparency log, and those attached as referrers are not read.
"""

from __future__ import annotations

import base64
import binascii
from typing import Annotated

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from pydantic import Field, ValidationError

from shared.contract.base import Digest, WireModel

SIGNATURE = "dev.cosignproject.cosign/signature"
PAYLOAD_TYPE = "application/vnd.dev.cosign.simplesigning.v1+json"
PAYLOAD_LIMIT = 64 * 1024
SIGNATURES_MAX = 16
"""More layers than this are not looked at."""


class SignatureRefused(ValueError):
    """No signature of the key vouches for the artifact."""


class SignatureLayer(WireModel, extra="ignore"):
    """One signature of an artifact, as the manifest of its signatures has it."""

    media_type: str
    digest: Digest
    annotations: dict[str, str] = Field(default_factory=dict)


class SignatureManifest(WireModel, extra="ignore"):
    """The manifest under the tag of the signatures."""

    layers: tuple[SignatureLayer, ...]


class _Image(WireModel, extra="ignore"):
    docker_manifest_digest: Annotated[Digest, Field(alias="docker-manifest-digest")]


class _Critical(WireModel, extra="ignore"):
    image: _Image
    type: str


class _Payload(WireModel, extra="ignore"):
    critical: _Critical


def signature_tag(digest: str) -> str:
    """Where the signatures of a manifest lie."""
    return f"{digest.replace(':', '-')}.sig"


def signature_layers(manifest: bytes) -> list[SignatureLayer]:
    """The signatures to look at. Raises SignatureRefused for what is no such manifest."""
    try:
        found = SignatureManifest.model_validate_json(manifest)
    except ValidationError as error:
        raise SignatureRefused("what lies beside it is no manifest of signatures") from error
    layers = [each for each in found.layers if each.media_type == PAYLOAD_TYPE]
    return layers[:SIGNATURES_MAX]


def vouches(layer: SignatureLayer, payload: bytes, *, key: str, digest: str) -> bool:
    """Whether this signature is the key's, and over this digest. `key`: PEM.

    Raises SignatureRefused for a key of a kind that is not checked.
    """
    try:
        signature = base64.b64decode(layer.annotations.get(SIGNATURE, ""), validate=True)
    except binascii.Error:
        return False
    if not _is_signed(signature, payload, key):
        return False
    try:
        critical = _Payload.model_validate_json(payload).critical
    except ValidationError:
        return False
    return critical.image.docker_manifest_digest == digest


def _is_signed(signature: bytes, payload: bytes, pem: str) -> bool:
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SignatureRefused("verify.cosignKey cannot be read as a public key") from error
    try:
        match key:
            case ec.EllipticCurvePublicKey():
                key.verify(signature, payload, ec.ECDSA(hashes.SHA256()))
            case rsa.RSAPublicKey():
                key.verify(signature, payload, padding.PKCS1v15(), hashes.SHA256())
            case ed25519.Ed25519PublicKey():
                key.verify(signature, payload)
            case _:
                raise SignatureRefused("verify.cosignKey is of a kind that is not checked")
    except InvalidSignature:
        return False
    return True
