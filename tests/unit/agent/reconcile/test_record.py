from __future__ import annotations

from uuid import UUID

import pytest

from agent.reconcile.pursuit import stands_later
from agent.reconcile.record import ExtensionRecord, SourceKind
from shared.contract.desired import DesiredExtension, DesiredState
from shared.contract.states import ExtensionPhase

DIGEST = "sha256:" + "a" * 64
EARLIER, LATER = (UUID(f"0190e0a{n}-0000-7000-8000-000000000000") for n in (0, 1))


def record(phase: ExtensionPhase = ExtensionPhase.READY) -> ExtensionRecord:
    return ExtensionRecord(
        extension="web",
        source=SourceKind.HELM,
        namespace="web",
        generation=4,
        rollout_id=EARLIER,
        spec_digest=DIGEST,
        phase=phase,
    )


def desired(generation: int, rollout_id: UUID) -> DesiredExtension:
    return DesiredExtension(
        name="web",
        state=DesiredState.ABSENT,
        revision=1,
        spec_digest=DIGEST,
        generation=generation,
        rollout_id=rollout_id,
    )


@pytest.mark.parametrize(
    ("generation", "rollout_id", "is_older"),
    [
        (3, EARLIER, True),
        (4, EARLIER, False),
        (5, EARLIER, False),
        (3, LATER, False),  # made after a restore, or by another control plane
        (5, LATER, False),
    ],
)
def test_a_release_is_older_where_its_generation_is_and_its_rollout_is_not_newer(
    generation: int, rollout_id: UUID, is_older: bool
) -> None:
    assert stands_later(record(), desired(generation, rollout_id)) is is_older


def test_what_is_not_ready_is_not_kept_against_an_older_release() -> None:
    assert not stands_later(record(ExtensionPhase.APPLYING), desired(3, EARLIER))
    assert not stands_later(record(ExtensionPhase.FAILED), desired(3, EARLIER))


def test_the_same_generation_of_another_rollout_is_another_release() -> None:
    assert record().is_for(desired(4, EARLIER))
    assert not record().is_for(desired(4, LATER))
