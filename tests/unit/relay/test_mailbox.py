from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.mailbox import Mailbox
from shared.rpc.v1 import relay_pb2 as pb

BODIES = {
    "welcome": pb.Welcome,
    "notice": pb.Notice,
    "drain": pb.Drain,
    "inventory_resync": pb.InventoryResync,
    "desired_changed": pb.DesiredChanged,
    "ack": pb.Ack,
}


def message(kind: str, mark: str = "") -> pb.RelayMessage:
    return pb.RelayMessage(**{kind: BODIES[kind]()}, traceparent=mark)


@given(st.lists(st.sampled_from(list(BODIES)), max_size=50))
def test_it_holds_at_most_one_message_of_each_kind(kinds: list[str]) -> None:
    mailbox = Mailbox()
    for kind in kinds:
        mailbox.put(message(kind))
    assert len(mailbox) == len(set(kinds))


def test_the_newest_of_a_kind_is_the_one_that_is_sent() -> None:
    mailbox = Mailbox()
    mailbox.put(message("desired_changed", "old"))
    mailbox.put(message("desired_changed", "new"))
    assert mailbox.take() == message("desired_changed", "new")
    assert mailbox.take() is None


def test_welcome_comes_first_and_a_notice_before_the_rest() -> None:
    mailbox = Mailbox()
    for kind in reversed(BODIES):
        mailbox.put(message(kind))
    taken = [mailbox.take() for _ in BODIES]
    assert [each.WhichOneof("body") for each in taken if each] == list(BODIES)


def test_a_message_without_a_body_is_refused() -> None:
    with pytest.raises(ValueError, match="body"):
        Mailbox().put(pb.RelayMessage())
