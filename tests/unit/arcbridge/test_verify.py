"""Verifying a trail that is longer than one answer: each call goes on from what the last proved."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from rich.console import Console

from arcbridge.cli.commands.events import events
from arcbridge.cli.exits import CommandError, Exit
from arcbridge.cli.session import Session
from arcbridge.client import Unintelligible
from arcbridge.client.api import Events
from tests.unit.arcbridge.test_transport import transport

HASH = "ab" * 32
SO_FAR: dict[str, Any] = {
    "intact": True, "checked": 2, "written": 3, "detail": "so far", "nextAfter": 2,
    "nextHash": HASH,
}  # fmt: skip
WHOLE: dict[str, Any] = {"intact": True, "checked": 3, "written": 3, "detail": "whole"}
BROKEN: dict[str, Any] = {**WHOLE, "intact": False, "checked": 2, "detail": "gone"}


def trail(*answers: dict[str, Any]) -> tuple[Events, list[httpx.Request]]:
    made, seen = transport(*(httpx.Response(200, json=answer) for answer in answers))
    return Events(made), seen


def verified(*answers: dict[str, Any]) -> str:
    """What `arcbridge events --verify` says to the person."""
    session, text = Session(), io.StringIO()
    session.__dict__["words"] = Console(file=text, width=200)
    session.__dict__["out"] = Console(file=io.StringIO(), width=200)
    session.__dict__["client"] = SimpleNamespace(events=trail(*answers)[0])
    events(session, verify=True)
    return text.getvalue()


def test_each_call_goes_on_from_the_entry_that_the_last_one_proved() -> None:
    found, seen = trail(SO_FAR, WHOLE)
    assert [answer.checked for answer in found.verify()] == [2, 3]
    asked = [dict(request.url.params) for request in seen]
    assert asked == [{"verify": "true"}, {"verify": "true", "after": "2", "hash": HASH}]


def test_a_long_trail_shows_how_far_it_is() -> None:
    assert verified(SO_FAR, WHOLE) == "2 of 3 entries checked\n"
    assert verified(WHOLE) == ""


def test_a_trail_that_was_cut_off_between_two_calls_is_broken() -> None:
    """Its recorded end was moved with it, so the last call alone finds nothing."""
    cut = {**WHOLE, "checked": 2, "written": 2}
    with pytest.raises(CommandError, match="ends at 2; it was written to 3") as caught:
        verified(SO_FAR, cut)
    assert caught.value.status is Exit.NOT_INTACT
    *_, last = trail(SO_FAR, cut)[0].verify()
    assert (last.intact, last.written, last.first_broken_sequence) == (False, 3, 3)


def test_a_server_that_does_not_come_further_is_not_asked_for_ever() -> None:
    with pytest.raises(Unintelligible, match="does not come further"):
        verified(SO_FAR, SO_FAR)


def test_a_break_in_a_later_stretch_is_the_trails() -> None:
    with pytest.raises(CommandError, match="the audit trail is broken: gone") as caught:
        verified(SO_FAR, BROKEN)
    assert caught.value.status is Exit.NOT_INTACT
