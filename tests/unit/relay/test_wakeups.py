from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from shared.services.cluster_key import ClusterKey
from shared.services.wakeups import Topic, Wake, decode, encode, grouped

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
keys = st.builds(ClusterKey, st.just("demo"), st.uuids())
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@given(st.sampled_from(Topic), st.sets(keys, max_size=20), st.sampled_from([None, TRACE]))
def test_a_wake_up_survives_the_channel(
    topic: Topic, clusters: set[ClusterKey], parent: str | None
) -> None:
    epoch = 7 if topic is Topic.SESSION else 0
    wake = Wake(topic, dict.fromkeys(clusters, epoch), parent)
    assert decode(encode(wake).encode()) == wake


@given(st.binary(max_size=200))
def test_junk_is_no_wake_up(data: bytes) -> None:
    assert decode(data) is None


def test_a_forged_traceparent_is_left_out() -> None:
    wake = decode(b'{"t":"desired","c":[],"tp":"injected\\n"}')
    assert wake == Wake(Topic.DESIRED, {})


def row(cluster: int, topic: str = "desired", age: timedelta = timedelta(), trace: str = TRACE):
    return {
        "tenant_id": "demo",
        "cluster_id": UUID(int=cluster),
        "topic": topic,
        "traceparent": trace,
        "created_at": NOW - age,
    }


def test_rows_of_one_trace_and_topic_become_one_message() -> None:
    rows = [row(1), row(2), row(2), row(3, "revoked"), row(4, trace=TRACE[:-2] + "00")]
    found = grouped(rows, NOW)
    assert [(wake.topic, len(wake.clusters)) for wake in found] == [
        (Topic.DESIRED, 2),
        (Topic.REVOKED, 1),
        (Topic.DESIRED, 1),
    ]


def test_rows_too_old_to_be_worth_it_are_not_sent() -> None:
    assert grouped([row(1, age=timedelta(minutes=11))], NOW) == []
