from __future__ import annotations

import json

import pytest

from relay.intake import Assembly, ProtocolError, items_of
from shared.contract.limits import INVENTORY_BYTES
from shared.rpc.codec import inventory_chunks
from shared.rpc.v1 import relay_pb2 as pb


def objects(count: int, size: int = 10) -> list[pb.InventoryObject]:
    return [pb.InventoryObject(kind="Node", name=f"n{i}", data=b"x" * size) for i in range(count)]


def test_chunks_in_order_make_up_the_inventory() -> None:
    sent, assembly = objects(100, size=9_000), Assembly()
    for chunk in inventory_chunks(sent):
        assembly.add(chunk)
    assert assembly.objects == sent


def test_chunk_0_starts_anew() -> None:
    assembly = Assembly()
    first, *_ = inventory_chunks(objects(100, size=9_000))
    assembly.add(first)
    for chunk in inventory_chunks(objects(3)):
        assembly.add(chunk)
    assert assembly.objects == objects(3)


def test_a_gap_is_against_the_protocol() -> None:
    first, _, third, *_ = inventory_chunks(objects(100, size=9_000))
    assembly = Assembly()
    assembly.add(first)
    with pytest.raises(ProtocolError, match="missing"):
        assembly.add(third)


def test_an_inventory_over_its_limit_is_refused() -> None:
    assembly, size = Assembly(), 250_000
    fits = INVENTORY_BYTES // size - 1
    chunks = [
        pb.InventoryFull(chunk=number, checksum="c", objects=objects(1, size))
        for number in range(fits + 2)
    ]
    for chunk in chunks[:fits]:
        assembly.add(chunk)
    assembly.add(chunks[fits])
    with pytest.raises(ProtocolError, match="over its limit"):
        assembly.add(chunks[fits + 1])


def test_a_name_counts_once_and_the_last_data_stands() -> None:
    twice = [
        pb.InventoryObject(kind="Node", name="n", data=b'{"ready": false}'),
        pb.InventoryObject(kind="Node", name="n", data=b'{"ready": true}'),
    ]
    (item,) = items_of(twice)
    assert item.data == '{"ready": true}'


@pytest.mark.parametrize(
    "data",
    [b"[]", b"1", b"{", b'{"a": NaN}', b'{"a": "\\u0000"}', b'{"a": "\\ud800"}', b"\xff",
     b'{"a":' * 100_000],
)  # fmt: skip
def test_data_that_cannot_be_stored_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        items_of([pb.InventoryObject(kind="Node", name="n", data=data)])


@pytest.mark.parametrize("name", ["x" * 254, "a\x00b"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ProtocolError):
        items_of([pb.InventoryObject(kind="Node", name=name)])


def test_a_text_that_only_speaks_of_nul_is_stored() -> None:
    data = rb'{"note": "write it as \\u0000", "path": "C:\\\\u0000"}'
    (item,) = items_of([pb.InventoryObject(kind="Node", name="n", data=data)])
    assert json.loads(item.data)["note"] == r"write it as \u0000"
