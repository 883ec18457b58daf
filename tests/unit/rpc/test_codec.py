from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from shared.contract.limits import INVENTORY_CHUNK_BYTES
from shared.rpc.codec import from_timestamp, inventory_checksum, inventory_chunks, to_timestamp
from shared.rpc.v1 import relay_pb2 as pb

objects = st.lists(
    st.builds(
        pb.InventoryObject,
        kind=st.sampled_from(["Node", "Namespace", "Deployment"]),
        namespace=st.sampled_from(["", "a", "b"]),
        name=st.text("abc-", min_size=1, max_size=8),
        data=st.binary(max_size=40),
    ),
    max_size=30,
)


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_time_survives_the_stream(moment: datetime) -> None:
    assert from_timestamp(to_timestamp(moment)) in (
        moment,
        None if moment.timestamp() == 0 else moment,
    )


def test_an_offset_is_kept_as_the_same_instant() -> None:
    east = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=5)))
    assert from_timestamp(to_timestamp(east)) == east


def test_a_naive_time_is_refused() -> None:
    with pytest.raises(ValueError, match="offset"):
        to_timestamp(datetime(2026, 1, 1))  # noqa: DTZ001 - a naive time is the point


@pytest.mark.parametrize("seconds", [0, -(2**62), 2**62])
def test_a_time_that_is_none_is_not_trusted(seconds: int) -> None:
    assert from_timestamp(Timestamp(seconds=seconds)) is None


@given(objects, st.randoms())
def test_a_checksum_does_not_depend_on_the_order(items: list[pb.InventoryObject], random) -> None:
    shuffled = random.sample(items, len(items))
    assert inventory_checksum(shuffled) == inventory_checksum(items)


def test_a_checksum_changes_with_the_data() -> None:
    one = pb.InventoryObject(kind="Node", name="n", data=b'{"ready":true}')
    other = pb.InventoryObject(kind="Node", name="n", data=b'{"ready":false}')
    assert inventory_checksum([one]) != inventory_checksum([other])


def test_chunks_hold_every_object_and_none_is_over_its_limit() -> None:
    items = [
        pb.InventoryObject(kind="Deployment", namespace="n", name=f"d{i}", data=b"x" * 9_000)
        for i in range(200)
    ]
    chunks = list(inventory_chunks(items))
    assert [chunk.chunk for chunk in chunks] == list(range(len(chunks)))
    assert [chunk.last for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert {chunk.checksum for chunk in chunks} == {inventory_checksum(items)}
    assert all(chunk.ByteSize() <= INVENTORY_CHUNK_BYTES for chunk in chunks)
    assert [item for chunk in chunks for item in chunk.objects] == items


def test_an_empty_inventory_is_one_chunk() -> None:
    (chunk,) = inventory_chunks([])
    assert chunk.last
    assert chunk.checksum == inventory_checksum([])


def test_an_object_that_fits_nowhere_is_refused() -> None:
    giant = pb.InventoryObject(kind="Node", name="n", data=b"x" * INVENTORY_CHUNK_BYTES)
    with pytest.raises(ValueError, match="no chunk"):
        list(inventory_chunks([giant]))
