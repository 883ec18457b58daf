"""A cluster that has joined over HTTP, with its key: signs assertions as its agent would."""

from __future__ import annotations

import base64
import hashlib
import time
import uuid
from dataclasses import dataclass
from typing import Any

import httpx
import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

SECONDS = 240


@dataclass(frozen=True)
class JoinedCluster:
    """Who it is, and what it signs with."""

    cluster_id: str
    audience: str
    thumbprint: str
    private_key: str
    """PEM."""
    certificate_chain: str
    ca_bundle: str
    tenant: str
    serial: str

    def bearer(self) -> dict[str, str]:
        """A fresh assertion: each is good once."""
        now = int(time.time())
        claims = {
            "iss": self.cluster_id,
            "sub": self.cluster_id,
            "aud": self.audience,
            "iat": now,
            "exp": now + SECONDS,
            "jti": uuid.uuid4().hex,
        }
        headers = {"x5t#S256": self.thumbprint}
        token = jwt.encode(claims, self.private_key, algorithm="ES256", headers=headers)
        return {"Authorization": f"Bearer {token}"}


def registration(
    token: str, name: str, **labels: str
) -> tuple[dict[str, Any], ec.EllipticCurvePrivateKey]:
    """The body of POST /register for a new key, and the key."""
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    csr = request.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    body = {
        "token": token,
        "csr": csr.decode(),
        "clusterName": name,
        "labels": labels,
        "facts": {"kubernetesVersion": "v1.34.1", "distribution": "k3s", "agentVersion": "0.1.0"},
    }
    return body, key


def join(http: httpx.Client, admin: dict[str, str], name: str, **labels: str) -> JoinedCluster:
    """Make a token as an admin, and register with it."""
    created = http.post("/api/v1/bootstrap-tokens", headers=admin, json={"clusterName": name})
    created.raise_for_status()
    body, key = registration(created.json()["token"], name, **labels)
    answer = http.post("/api/v1/register", json=body)
    answer.raise_for_status()
    joined = answer.json()
    leaf = x509.load_pem_x509_certificate(joined["certificateChain"].encode())
    digest = hashlib.sha256(leaf.public_bytes(serialization.Encoding.DER)).digest()
    return JoinedCluster(
        cluster_id=joined["clusterId"],
        audience=joined["audience"],
        thumbprint=base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        private_key=key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode(),
        certificate_chain=joined["certificateChain"],
        ca_bundle=joined["caBundle"],
        tenant=joined["tenant"],
        serial=joined["serial"],
    )
