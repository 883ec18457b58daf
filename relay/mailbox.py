"""What waits to be sent on one stream: at most one message of each kind.

Every message to an agent says how things are, not what happened, so a newer one makes the older of
its kind needless. That bounds a stream's queue at seven messages, whatever the agent reads or not.
"""

from __future__ import annotations

from shared.rpc.v1 import relay_pb2 as pb

_ORDER = (
    "welcome", "notice", "drain", "ca_bundle", "inventory_resync", "desired_changed", "ack",
)  # fmt: skip


class Mailbox:
    """The messages in the order in which they matter."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: dict[str, pb.RelayMessage] = {}

    def put(self, message: pb.RelayMessage) -> None:
        """Add a message in place of the one of its kind. Raises ValueError for one with no body."""
        kind = message.WhichOneof("body")
        if kind is None:
            raise ValueError("a message to an agent needs a body")
        self._waiting[kind] = message

    def take(self) -> pb.RelayMessage | None:
        """Remove and return what should be sent next; None when nothing waits."""
        for kind in _ORDER:
            if kind in self._waiting:
                return self._waiting.pop(kind)
        return None

    def __len__(self) -> int:
        return len(self._waiting)
