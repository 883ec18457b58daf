"""Inventory messages for the stream: all of it once, differences after.

Each difference says which checksum it starts from. What was sent counts as the base of the next
one at once; if the relay did not get it, its checksum does not fit and it asks for the whole.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from agent.clock import Clock
from agent.inventory.collector import Collector
from agent.inventory.snapshot import Snapshot, difference
from shared.contract.limits import INVENTORY_CHUNK_BYTES
from shared.rpc.codec import inventory_chunks
from shared.rpc.v1 import relay_pb2 as pb
from shared.telemetry.logs import get_logger

log = get_logger(__name__)

GATHER_SECONDS = 2.0
"""Changes come in groups: a rollout of a Deployment is one difference, not twenty."""
FULL_GAP_SECONDS = 10.0
"""A relay that asks for everything again and again is not given it more often."""


@dataclass
class InventoryOutbox:
    """What to tell the relay of the inventory; the session's OutgoingInventory."""

    collector: Collector
    clock: Clock
    _queue: deque[pb.AgentMessage] = field(default_factory=deque)
    _base: Snapshot | None = None
    _resync: bool = False
    _full_at: float | None = None
    _acknowledged: str = ""

    def checksum(self) -> str:
        """Of the inventory that the relay should have; empty while nothing is known."""
        if self._base is None and self.collector.complete:
            # After a restart the relay most likely still has what is here now.
            self._base = self.collector.snapshot()
        return self._base.checksum if self._base else ""

    def begin_session(self) -> None:
        """What was under way in an earlier stream is lost; the checksum in Hello tells."""
        self._queue.clear()
        self._resync = False

    def resync(self) -> None:
        """The relay asks for the whole inventory."""
        self._resync = True
        self.collector.changed.set()

    def acknowledged(self, checksum: str) -> None:
        """The relay has stored the inventory of this checksum."""
        self._acknowledged = checksum

    async def next_message(self) -> pb.AgentMessage:
        """The next message, once there is one."""
        while not self._queue:
            self.collector.changed.clear()
            if self.collector.complete:
                self._queue.extend(self._news())
            if not self._queue:
                await self.collector.changed.wait()
                await self.clock.sleep(self._wait_seconds())
        return self._queue.popleft()

    def _wait_seconds(self) -> float:
        if not self._resync or self._full_at is None:
            return GATHER_SECONDS
        return max(GATHER_SECONDS, self._full_at + FULL_GAP_SECONDS - self.clock.monotonic())

    def _news(self) -> Iterator[pb.AgentMessage]:
        now = self.collector.snapshot()
        before, self._base = self._base, now
        if before is None or self._resync:
            yield from self._full(now)
        elif now.checksum != before.checksum:
            yield from self._delta(before, now)

    def _full(self, now: Snapshot) -> Iterator[pb.AgentMessage]:
        self._resync, self._full_at = False, self.clock.monotonic()
        if now.left_out:
            log.warning("inventory is larger than it may be", left_out=now.left_out)
        for chunk in inventory_chunks(now.messages()):
            yield pb.AgentMessage(inventory_full=chunk)

    def _delta(self, before: Snapshot, now: Snapshot) -> Iterator[pb.AgentMessage]:
        parts = difference(before, now)
        delta = pb.InventoryDelta(
            base_checksum=before.checksum,
            checksum=now.checksum,
            added=parts.added,
            changed=parts.changed,
            removed=parts.removed,
        )
        if delta.ByteSize() > INVENTORY_CHUNK_BYTES:
            yield from self._full(now)
        else:
            yield pb.AgentMessage(inventory_delta=delta)
