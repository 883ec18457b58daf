"""Desired documents are signed with a key of the process, certified by the CA that serves."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from shared.contract.desired import DesiredDocument
from shared.contract.errors import ErrorCode
from shared.contract.signature import DocumentSignature, signer_uri
from shared.domain.errors import ArcBridgeError
from shared.services import desired
from shared.services.caller import Caller
from shared.services.control_plane import ControlPlane
from tests.integration.conftest import Clock
from tests.integration.services.joining import join


async def signature_of(cp: ControlPlane, caller: Caller) -> DocumentSignature:
    found = await desired.newer(cp, caller, ())
    assert isinstance(found, DesiredDocument)
    assert found.signature is not None
    return found.signature


async def test_one_key_signs_many_documents_and_is_renewed_at_half_its_life(
    control_plane: ControlPlane, clock: Clock
) -> None:
    joined = await join(control_plane, "eu-1")
    caller = Caller(
        actor=f"cluster:{joined.cluster_id}", tenant="acme", cluster_id=joined.cluster_id
    )
    several = await asyncio.gather(*(signature_of(control_plane, caller) for _ in range(5)))
    first = await signature_of(control_plane, caller)
    assert {each.certificate_chain for each in several} == {first.certificate_chain}
    assert first.signed_at >= max(each.signed_at for each in several)
    leaf = x509.load_pem_x509_certificate(first.certificate_chain.encode())
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    [uri] = names.get_values_for_type(x509.UniformResourceIdentifier)
    assert uri == signer_uri(control_plane.trust_domain)
    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CODE_SIGNING]
    clock.ahead = timedelta(minutes=5)
    assert (await signature_of(control_plane, caller)).certificate_chain == first.certificate_chain
    clock.ahead = (leaf.not_valid_after_utc - leaf.not_valid_before_utc) / 2
    assert (await signature_of(control_plane, caller)).certificate_chain != first.certificate_chain


async def test_while_the_ca_cannot_sign_the_key_there_is_goes_on_to_the_end_of_its_life(
    control_plane: ControlPlane, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    joined = await join(control_plane, "eu-1")
    caller = Caller(
        actor=f"cluster:{joined.cluster_id}", tenant="acme", cluster_id=joined.cluster_id
    )
    first = await signature_of(control_plane, caller)
    leaf = x509.load_pem_x509_certificate(first.certificate_chain.encode())
    life = leaf.not_valid_after_utc - leaf.not_valid_before_utc
    asked = 0

    def away(_: object) -> None:
        nonlocal asked
        asked += 1
        raise ArcBridgeError(ErrorCode.UNAVAILABLE, "the vault does not answer")

    with monkeypatch.context() as outage:
        outage.setattr(control_plane.ca, "issuer", away)
        clock.ahead = life / 2
        for _ in range(5):
            found = await signature_of(control_plane, caller)
            assert found.certificate_chain == first.certificate_chain
        assert asked == 1, "not by every request"
        clock.ahead = life
        with pytest.raises(ArcBridgeError, match="vault"):
            await signature_of(control_plane, caller)
    assert (await signature_of(control_plane, caller)).certificate_chain != first.certificate_chain
