from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from relay.endings import Ending
from relay.registry import Registry
from relay.stream import Stream
from shared.rpc.v1 import relay_pb2 as pb
from shared.services.cluster_key import ClusterKey

KEY = ClusterKey("demo", UUID(int=1))


class Nowhere:
    async def write(self, message: pb.RelayMessage, /) -> None:
        raise AssertionError("nothing is sent here")


def stream(epoch: int, instance: str = "a") -> Stream:
    return Stream(
        Nowhere(),
        KEY,
        epoch=epoch,
        instance_id=instance,
        serial="1",
        not_after=datetime.now(UTC),
        send_seconds=1.0,
    )


@given(st.permutations([1, 2, 3, 4]))
def test_only_the_stream_with_the_highest_epoch_lives(order: list[int]) -> None:
    registry = Registry()
    streams = {epoch: stream(epoch, instance=str(epoch)) for epoch in order}
    for epoch in order:
        registry.add(streams[epoch])
    assert registry.get(KEY) is streams[4]
    assert [streams[epoch].ending for epoch in (1, 2, 3, 4)] == [Ending.SUPERSEDED] * 3 + [None]


def test_a_newer_stream_of_the_same_agent_is_no_duplicate() -> None:
    registry = Registry()
    older, newer = stream(1), stream(2)
    registry.add(older)
    registry.add(newer)
    assert older.ending is Ending.REPLACED


def test_the_end_of_an_older_stream_leaves_the_newer_one_in_place() -> None:
    registry = Registry()
    older, newer = stream(1), stream(2)
    registry.add(older)
    registry.add(newer)
    registry.remove(older)
    assert registry.get(KEY) is newer
    assert not registry.empty.is_set()
    registry.remove(newer)
    assert registry.empty.is_set()


def test_a_newer_epoch_heard_of_during_the_admission_is_not_forgotten() -> None:
    registry = Registry()
    late = stream(1)
    with registry.expecting(KEY):
        assert registry.suspects([(KEY, 2)]) == [KEY]
        registry.superseded(KEY, 2)
        registry.add(late)
    assert late.ending is Ending.SUPERSEDED


def test_a_stream_whose_epoch_nobody_knows_any_more_opens_anew() -> None:
    registry = Registry()
    mine = stream(5)
    registry.add(mine)
    registry.forgotten(KEY, 4)  # of the one before
    assert mine.ending is None
    registry.forgotten(KEY, 5)
    assert mine.ending is Ending.FORGOTTEN


def test_an_epoch_that_is_not_newer_ends_nothing() -> None:
    registry = Registry()
    mine = stream(5)
    registry.add(mine)
    registry.superseded(KEY, 5)
    assert mine.ending is None
    assert registry.suspects([(KEY, 5)]) == []
