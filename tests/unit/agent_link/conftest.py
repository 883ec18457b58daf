"""What the unit tests of the agent's link build on."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.credentials.identity import Identity
from agent.credentials.keys import certificate_request, new_key
from agent.reconcile.seam import EventDraft
from shared.contract.reasons import ReasonCode
from shared.contract.registration import AgentSettings, RegisterResponse
from shared.contract.states import ExtensionPhase
from shared.contract.status import DriftReport
from shared.identity import certificates, csr, devca
from shared.identity.file_issuer import FileIssuer
from shared.identity.spiffe import SpiffeId

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DIGEST = f"sha256:{'a' * 64}"
ROLLOUT = uuid.UUID(int=7)


class FakeClock:
    """Time that passes only when someone sleeps."""

    def __init__(self, now: datetime = NOW) -> None:
        self._now = now
        self._monotonic = 1000.0
        self.slept: list[float] = []

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)
        self._monotonic += seconds


def draft(
    extension: str = "web",
    phase: ExtensionPhase = ExtensionPhase.APPLYING,
    *,
    revision: int = 1,
    drift: bool = False,
) -> EventDraft:
    return EventDraft(
        extension=extension,
        phase=phase,
        revision=revision,
        spec_digest=DIGEST,
        rollout_id=ROLLOUT,
        observed_generation=1,
        reason=ReasonCode.PROGRESSING,
        drift=DriftReport(checked_at=NOW) if drift else None,
    )


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(scope="session")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> FileIssuer:
    """A CA."""
    directory = tmp_path_factory.mktemp("ca")
    devca.make(directory)
    return FileIssuer(directory)


@pytest.fixture(scope="session")
def other_issuer(tmp_path_factory: pytest.TempPathFactory) -> FileIssuer:
    """Somebody else's CA."""
    directory = tmp_path_factory.mktemp("other-ca")
    devca.make(Path(directory))
    return FileIssuer(directory)


async def answer_for(issuer: FileIssuer, key_pem: str) -> RegisterResponse:
    """What a control plane with this CA answers to a registration with the key."""
    cluster_id = uuid.UUID(int=42)
    issued = await issuer.issue_agent(
        csr.public_key_of(certificate_request(key_pem, "eu-1")),
        spiffe_id=SpiffeId("arcbridge.local", "demo", cluster_id),
        now=datetime.now(UTC),
    )
    return RegisterResponse(
        cluster_id=cluster_id,
        tenant="demo",
        cluster_name="eu-1",
        certificate_chain=issued.pem_chain,
        ca_bundle=issuer.authority.bundle,
        not_after=issued.not_after,
        serial=issued.serial,
        relay_address="relay.example:443",
        audience="https://control.example",
        settings=AgentSettings(heartbeat_seconds=30, poll_seconds=60),
    )


@pytest.fixture
async def identity(issuer: FileIssuer) -> Identity:
    """A registered agent's."""
    key = new_key()
    answer = await answer_for(issuer, key)
    return Identity.from_answer(key, "https://control.example", issuer.authority.pin, answer)


def leaf_key(identity: Identity) -> bytes:
    """The public key that the control plane keeps of the certificate."""
    return certificates.spki(csr.public_key_of(certificate_request(identity.key_pem, "x")))
