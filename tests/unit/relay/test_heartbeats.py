from __future__ import annotations

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from relay.heartbeats import HeartbeatBuffer
from shared.services.cluster_key import ClusterKey
from shared.services.heartbeats import Heartbeat, decode, encode, is_digest

small = st.integers(0, 2**31 - 1)
beats = st.builds(
    Heartbeat,
    key=st.builds(ClusterKey, st.sampled_from(["demo", "other"]), st.uuids()),
    epoch=st.integers(0, 2**63 - 1),
    sequence=st.integers(0, 2**63 - 1),
    received_ms=st.integers(0, 2**48),
    skew_ms=st.none() | st.integers(-(2**62), 2**62),
    extensions=small,
    ready=small,
    failed=small,
    drifted=small,
    pending=small,
    digest=st.sampled_from(["", "sha256:" + "0" * 64]),
)


@given(beats)
def test_a_heartbeat_survives_redis(beat: Heartbeat) -> None:
    assert decode(str(beat.key).encode(), encode(beat).encode()) == beat


@given(st.binary(max_size=80), st.binary(max_size=200))
def test_junk_is_no_heartbeat(field: bytes, value: bytes) -> None:
    assert decode(field, value) is None


def test_a_digest_is_short_printable_ascii() -> None:
    assert is_digest("sha256:abc")
    assert not is_digest("sha256:\n")
    assert not is_digest("é")
    assert not is_digest("x" * 81)


def beat(epoch: int, sequence: int, cluster: int = 1) -> Heartbeat:
    return Heartbeat(
        key=ClusterKey("demo", UUID(int=cluster)),
        epoch=epoch,
        sequence=sequence,
        received_ms=0,
        skew_ms=None,
    )


@given(st.permutations([(1, 1), (1, 2), (2, 1), (2, 7), (3, 1)]))
def test_the_buffer_keeps_the_highest_epoch_and_sequence(order: list[tuple[int, int]]) -> None:
    buffer = HeartbeatBuffer()
    for epoch, sequence in order:
        buffer.put(beat(epoch, sequence))
    assert buffer.take() == [beat(3, 1)]


def test_what_is_given_back_never_replaces_what_is_newer() -> None:
    buffer = HeartbeatBuffer()
    buffer.put(beat(1, 1))
    taken = buffer.take()
    buffer.put(beat(1, 2))
    buffer.give_back([*taken, beat(1, 1, cluster=2)])
    assert buffer.take() == [beat(1, 2), beat(1, 1, cluster=2)]


def test_the_buffer_is_bounded_by_the_clusters() -> None:
    buffer = HeartbeatBuffer()
    for sequence in range(1_000):
        buffer.put(beat(1, sequence, cluster=sequence % 3))
    assert len(buffer) == 3
