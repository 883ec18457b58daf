"""What a rotation of the CA does next, and what it waits for."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.contract.ca import CaState
from shared.identity.rotation import (
    ACTIVATE_LEFT,
    REMOVE_AFTER,
    Facts,
    Holders,
    Move,
    Standing,
    Step,
    decide,
)

NOW = datetime(2026, 6, 1, tzinfo=UTC)
FAR = NOW + timedelta(days=29)
OLD = Standing(id="old", state=CaState.ISSUING, not_after=FAR, serves=True)
NEXT = Standing(
    id="next", state=CaState.PREPARED, not_after=NOW + timedelta(days=180), serves=False
)
ALL = Holders(acknowledged=500)
PREPARED = Facts(generations=(OLD, NEXT), relays={"r1": frozenset({"old", "next"})}, holders=ALL)
RETIRING = replace(OLD, state=CaState.RETIRING, retiring_at=NOW - REMOVE_AFTER)
ISSUING = replace(NEXT, state=CaState.ISSUING)
SERVING = replace(ISSUING, serves=True)


def test_without_a_rotation_there_is_nothing_to_do_and_nothing_to_wait_for() -> None:
    decision = decide(replace(PREPARED, generations=(OLD,)), NOW)
    assert (decision.steps, decision.waiting_for) == ((), ())


def test_the_next_one_issues_when_everyone_trusts_it() -> None:
    assert decide(PREPARED, NOW).steps == (Step(Move.ACTIVATE, "next"),)


@pytest.mark.parametrize(
    "facts",
    [
        replace(PREPARED, relays={"r1": frozenset({"old", "next"}), "r2": frozenset({"old"})}),
        replace(PREPARED, holders=Holders(acknowledged=499, pending_connected=1)),
        replace(PREPARED, holders=Holders(acknowledged=499, pending_offline=1)),
    ],
)
def test_one_relay_or_cluster_without_it_holds_it_up(facts: Facts) -> None:
    decision = decide(facts, NOW)
    assert decision.steps == ()
    assert len(decision.waiting_for) == 1


def test_an_operator_lets_it_go_on_without_offline_clusters_but_not_without_connected_ones() -> (
    None
):
    offline = replace(
        PREPARED,
        generations=(OLD, replace(NEXT, overridden=True)),
        holders=Holders(acknowledged=400, pending_offline=100),
    )
    assert decide(offline, NOW).steps == (Step(Move.ACTIVATE, "next"),)
    connected = replace(offline, holders=Holders(pending_connected=1, pending_offline=99))
    assert decide(connected, NOW).steps == ()


def test_with_a_week_left_offline_clusters_are_waited_for_no_longer() -> None:
    facts = replace(
        PREPARED,
        generations=(replace(OLD, not_after=NOW + ACTIVATE_LEFT), NEXT),
        holders=Holders(pending_offline=3),
    )
    assert decide(facts, NOW).steps == (Step(Move.ACTIVATE, "next"),)


@pytest.mark.parametrize(
    ("holders", "tokens"),
    [(Holders(pending_offline=1), 0), (Holders(pending_connected=1), 0), (ALL, 1)],
)
def test_relays_present_it_only_when_no_agent_that_could_connect_lacks_its_root(
    holders: Holders, tokens: int
) -> None:
    facts = replace(
        PREPARED, generations=(RETIRING, ISSUING), holders=holders, foreign_tokens=tokens
    )
    assert decide(facts, NOW).steps == ()
    ready = replace(facts, holders=ALL, foreign_tokens=0)
    assert decide(ready, NOW).steps == (Step(Move.SERVE, "next"),)


def test_the_old_one_is_removed_when_nothing_that_lives_depends_on_it() -> None:
    needed = replace(RETIRING, dependents=("1 good certificates are of it",))
    assert decide(replace(PREPARED, generations=(needed, SERVING)), NOW).steps == ()
    facts = replace(PREPARED, generations=(RETIRING, SERVING))
    assert decide(facts, NOW).steps == (Step(Move.REMOVE, "old"),)


def test_what_was_being_signed_when_it_retired_is_waited_for() -> None:
    fresh = replace(RETIRING, retiring_at=NOW)
    assert decide(replace(PREPARED, generations=(fresh, SERVING)), NOW).steps == ()


def test_one_that_has_ended_is_removed_even_if_the_relays_never_left_it() -> None:
    ended = replace(RETIRING, not_after=NOW)
    holders = Holders(pending_offline=1)
    facts = replace(PREPARED, generations=(ended, ISSUING), holders=holders)
    assert decide(facts, NOW).steps == (Step(Move.REMOVE, "old"),)
