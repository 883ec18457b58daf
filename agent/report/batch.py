"""Which events go into the next batch. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from shared.contract.limits import STATUS_BODY_BYTES, STATUS_EVENTS_PER_BATCH
from shared.contract.status import StatusEvent

_ENVELOPE_BYTES = 1024
"""What a batch is besides its events."""


def next_batch(
    events: Sequence[StatusEvent],
    *,
    most: int = STATUS_EVENTS_PER_BATCH,
    size: int = STATUS_BODY_BYTES - _ENVELOPE_BYTES,
) -> tuple[StatusEvent, ...]:
    """The longest run of events from the first that fits; at least one where there is any."""
    batch: list[StatusEvent] = []
    for event in events[:most]:
        size -= len(event.model_dump_json(exclude_none=True).encode()) + 1
        if size < 0 and batch:
            break
        batch.append(event)
    return tuple(batch)
