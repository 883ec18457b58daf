from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.api.assertion import make_assertion
from agent.credentials.identity import Identity
from agent.credentials.keys import new_key
from agent.credentials.trust import UntrustedControlPlane, read_certificates, spki_pin
from agent.link.renewal import renewal_time
from shared.domain.errors import ArcBridgeError
from shared.identity import assertions
from shared.identity.file_issuer import FileIssuer
from tests.unit.agent_link.conftest import answer_for, leaf_key

URL = "https://control.example"


def test_the_control_plane_takes_the_agents_assertion(identity: Identity) -> None:
    now = datetime.now(UTC)
    token = make_assertion(identity, now, uuid.uuid4())
    assert assertions.peek(token) == identity.thumbprint
    verified = assertions.verify(
        token,
        public_key=leaf_key(identity),
        cluster_id=str(identity.registration.cluster_id),
        audience="https://control.example",
        now=now,
    )
    assert verified.subject == str(identity.registration.cluster_id)
    assert verified.expires_at - now.timestamp() <= 300


def test_an_assertion_is_worthless_minutes_later(identity: Identity) -> None:
    token = make_assertion(identity, datetime.now(UTC) - timedelta(minutes=6), uuid.uuid4())
    with pytest.raises(ArcBridgeError):
        assertions.verify(
            token,
            public_key=leaf_key(identity),
            cluster_id=str(identity.registration.cluster_id),
            audience="https://control.example",
            now=datetime.now(UTC),
        )


async def test_an_answer_without_the_pinned_root_is_refused(
    issuer: FileIssuer, other_issuer: FileIssuer
) -> None:
    key = new_key()
    answer = await answer_for(other_issuer, key)
    with pytest.raises(UntrustedControlPlane, match="pinned root"):
        Identity.from_answer(key, URL, issuer.authority.pin, answer)


async def test_a_root_slipped_in_beside_the_pinned_one_is_not_trusted(
    issuer: FileIssuer, other_issuer: FileIssuer
) -> None:
    key = new_key()
    answer = await answer_for(issuer, key)
    slipped = answer.model_copy(
        update={"ca_bundle": other_issuer.authority.bundle + answer.ca_bundle}
    )
    identity = Identity.from_answer(key, URL, issuer.authority.pin, slipped)
    pins = [spki_pin(c) for c in read_certificates(identity.bundle_pem)]
    assert pins == [issuer.authority.pin]


async def test_a_certificate_from_another_ca_is_refused(
    issuer: FileIssuer, other_issuer: FileIssuer
) -> None:
    key = new_key()
    answer = await answer_for(other_issuer, key)
    mixed = answer.model_copy(update={"ca_bundle": issuer.authority.bundle})
    with pytest.raises(UntrustedControlPlane, match="chain"):
        Identity.from_answer(key, URL, issuer.authority.pin, mixed)


async def test_a_certificate_for_another_key_is_refused(issuer: FileIssuer) -> None:
    answer = await answer_for(issuer, new_key())
    with pytest.raises(UntrustedControlPlane, match="another key"):
        Identity.from_answer(new_key(), URL, issuer.authority.pin, answer)


def test_an_identity_never_shows_its_key(identity: Identity) -> None:
    assert "PRIVATE" not in repr(identity)
    assert "PRIVATE" not in f"{identity}"


@settings(deadline=None)
@given(st.floats(0, 1, exclude_max=True))
def test_a_certificate_is_renewed_around_half_its_life(random: float) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    due = renewal_time(start, start + timedelta(hours=100), lambda: random)
    assert timedelta(hours=45) <= due - start <= timedelta(hours=55)
