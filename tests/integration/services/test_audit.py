import asyncio

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
