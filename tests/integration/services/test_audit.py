import asyncio

import psycopg
import pytest

from shared.contract.archive import TrailEnd
from shared.contract.errors import ErrorCode
from shared.contract.events import EventVerification
from shared.domain.errors import ArcBridgeError
from shared.services import audit, events
from shared.services.caller import Caller
from shared.services.control_plane import ControlPlane
from tests.integration.services.joining import admin

AWKWARD = {
    "whole": 2.0, "large": 1e22, "small": 1e-7, "long": 0.1 + 0.2, "negative": -0.0,
    "integer": 2**70, "text": "é\u2028\U0001f600\\\"", "nested": [{"b": 1, "a": None}, [], {}],
}  # fmt: skip


async def test_awkward_data_verifies_after_it_was_stored(control_plane: ControlPlane) -> None:
    async with control_plane.db.tenant("acme") as tx:
        await audit.append(tx, admin(), "a", "s", data=AWKWARD)
    verified = await events.verify(control_plane, admin())
    assert verified.intact, verified.detail


async def test_entries_written_at_the_same_time_make_one_chain_per_tenant(
    control_plane: ControlPlane,
) -> None:
    async def write(number: int) -> None:
        tenant = "acme" if number % 2 else "other"
        async with control_plane.db.tenant(tenant) as tx:
            await audit.append(tx, admin(tenant), f"action-{number}", "s")

    await asyncio.gather(*(write(number) for number in range(40)))
    for tenant in ("acme", "other"):
        verified = await events.verify(control_plane, admin(tenant))
        assert (verified.intact, verified.checked) == (True, 20)


async def test_an_entry_of_an_undone_transaction_leaves_no_gap(
    control_plane: ControlPlane,
) -> None:
    try:
        async with control_plane.db.tenant("acme") as tx:
            await audit.append(tx, admin(), "undone", "s")
            raise LookupError
    except LookupError:
        pass
    async with control_plane.db.tenant("acme") as tx:
        await audit.append(tx, admin(), "done", "s")
    page = await events.list_events(control_plane, admin())
    assert [(event.sequence, event.action) for event in page.items] == [(1, "done")]


async def test_the_trail_is_read_page_by_page_and_by_subject(control_plane: ControlPlane) -> None:
    caller = Caller.system("test", "acme")
    async with control_plane.db.tenant("acme") as tx:
        entries = [audit.Entry(action=f"a-{n}", subject=f"s/{n % 2}") for n in range(7)]
        await audit.append_all(tx, caller, entries)
    seen: list[str] = []
    cursor = None
    while True:
        page = await events.list_events(
            control_plane,
            admin(),
            chosen=events.EventFilter(subject="s/0"),
            cursor=cursor,
            limit=2,
        )
        seen += [event.action for event in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == ["a-6", "a-4", "a-2", "a-0"]


async def _write(control_plane: ControlPlane, count: int) -> None:
    async with control_plane.db.tenant("acme") as tx:
        entries = [audit.Entry(action=f"a-{n}", subject="s") for n in range(count)]
        await audit.append_all(tx, Caller.system("test", "acme"), entries)


async def _checked(control_plane: ControlPlane, start: TrailEnd) -> EventVerification:
    return await events.verify(control_plane, admin(), start=start, at_once=3)


def _next(answer: EventVerification) -> TrailEnd:
    assert answer.next_after is not None
    assert answer.next_hash is not None
    return TrailEnd(sequence=answer.next_after, hash=answer.next_hash)


async def test_a_long_trail_is_checked_stretch_by_stretch(control_plane: ControlPlane) -> None:
    await _write(control_plane, 6)
    first = await _checked(control_plane, events.BEGINNING)
    assert (first.intact, first.checked, first.written, first.next_after) == (True, 3, 6, 3)
    assert first.detail == "3 entries of 6, each as it was written, so far"
    await _write(control_plane, 1)
    second = await _checked(control_plane, _next(first))
    assert (second.checked, second.written, second.next_after) == (6, 7, 6)
    last = await _checked(control_plane, _next(second))
    assert (last.intact, last.checked, last.next_after, last.next_hash) == (True, 7, None, None)


async def test_a_stretch_has_to_go_on_from_the_entry_that_was_checked(
    control_plane: ControlPlane,
) -> None:
    await _write(control_plane, 5)
    first = await _checked(control_plane, events.BEGINNING)
    other = await _checked(control_plane, TrailEnd(sequence=3, hash="0" * 64))
    assert (other.intact, other.first_broken_sequence) == (False, 4)
    assert (await _checked(control_plane, _next(first))).intact
    beyond = await _checked(control_plane, TrailEnd(sequence=9, hash="0" * 64))
    assert not beyond.intact
    assert beyond.detail == "the trail was checked to 9, and by now ends at 5"


@pytest.mark.parametrize(
    ("start", "field"),
    [
        (TrailEnd(sequence=3, hash=""), "hash"),
        (TrailEnd(sequence=0, hash="0" * 64), "after"),
    ],
)
async def test_where_a_stretch_begins_is_an_entry_and_its_hash(
    control_plane: ControlPlane, start: TrailEnd, field: str
) -> None:
    with pytest.raises(ArcBridgeError, match="of the same entry") as refused:
        await events.verify(control_plane, admin(), start=start)
    assert refused.value.code is ErrorCode.INVALID_REQUEST
    assert [error.field for error in refused.value.errors] == [field]


async def test_an_end_that_was_written_anew_is_not_the_one_that_was_noted(
    control_plane: ControlPlane, owner_postgres_url: str
) -> None:
    """Each entry fits the one before it; what the head says is another trail."""
    await _write(control_plane, 3)
    with psycopg.connect(owner_postgres_url) as connection:
        connection.execute("update event_heads set hash = repeat('0', 64)")
    found = await events.verify(control_plane, admin())
    assert (found.intact, found.checked, found.first_broken_sequence) == (False, 2, 3)
    assert found.detail == "it is not the entry that was written last"
