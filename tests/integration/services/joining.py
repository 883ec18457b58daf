"""What the tests of the services do again and again: make callers, keys, requests, clusters."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from shared.contract.registration import (
    BootstrapTokenRequest,
    RegisterRequest,
    RegisterResponse,
)
from shared.contract.states import Role
from shared.services import bootstrap_tokens, registration
from shared.services.caller import Caller
from shared.services.control_plane import ControlPlane


def admin(tenant: str = "acme") -> Caller:
    return Caller(
        actor="person:oid-1", tenant=tenant, roles=frozenset({Role.ADMIN}), address="192.0.2.7"
    )


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def csr_of(key: Any, *, common_name: str = "ignored", extensions: Any = ()) -> str:
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


async def new_token(
    cp: ControlPlane, *, tenant: str = "acme", name: str | None = None, **fields: Any
) -> str:
    request = BootstrapTokenRequest(cluster_name=name, **fields)
    return (await bootstrap_tokens.create(cp, admin(tenant), request)).token


async def join(
    cp: ControlPlane,
    name: str,
    *,
    tenant: str = "acme",
    token: str | None = None,
    key: Any = None,
    labels: dict[str, str] | None = None,
) -> RegisterResponse:
    """Register a cluster as its agent would."""
    request = RegisterRequest(
        token=token or await new_token(cp, tenant=tenant),
        csr=csr_of(key or new_key()),
        cluster_name=name,
        labels=labels or {},
    )
    return await registration.register(cp, request, address=None)


def agent(answer: RegisterResponse) -> Caller:
    return Caller(
        actor=f"cluster:{answer.cluster_id}",
        tenant=answer.tenant,
        cluster_id=UUID(str(answer.cluster_id)),
    )
