from __future__ import annotations

import json
from uuid import UUID

import pytest

from agent.reconcile.pursuit import stands_later
from agent.reconcile.record import ExtensionRecord, SourceKind, read_record
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


def test_a_record_of_a_later_agent_keeps_what_was_applied() -> None:
    item = {"apiVersion": "v1", "kind": "ConfigMap", "namespace": "web", "name": "a", "new": 1}
    own = json.loads(record().model_dump_json(by_alias=True, exclude_defaults=True))
    later = own | {"inventory": [item], "reason": "NeverHeardOf", "phase": "Resting", "newField": 1}
    found = read_record(json.dumps(later))
    assert [kept.name for kept in found.inventory] == ["a"]
    assert (found.generation, found.source) == (4, SourceKind.HELM)
    for unreadable in ("", "[]", json.dumps(own | {"inventory": [{"name": "a"}]})):
        with pytest.raises(ValueError, match=r"."):
            read_record(unreadable)
