"""Following a rollout: what is said while it goes, and how the watching ends."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from rich.console import Console

from arcbridge.cli.commands.rollout import require_success
from arcbridge.cli.exits import CommandError, Exit
from arcbridge.cli.output import ago, plain, printable
from arcbridge.cli.session import Session
from arcbridge.cli.watch import follow, in_words
from shared.contract.reasons import ReasonCode
from shared.contract.rollout import Rollout, RolloutPace, StageProgress, WaitingFor
from shared.contract.states import RolloutKind, RolloutState
from shared.contract.strategy import RolloutStrategy

NOW = datetime(2030, 1, 1, tzinfo=UTC)
ID = UUID(int=7)


def rollout(
    state: RolloutState, succeeded: int = 0, message: str = "", skipped: int = 0, **fields: Any
) -> Rollout:
    stage = StageProgress(
        name="canary", total=3, to_apply=3 - succeeded - skipped, in_flight=0, succeeded=succeeded,
        failed=0, skipped=skipped, max_concurrent=1, failure_budget=0, opened_at=NOW,
    )  # fmt: skip
    waiting = WaitingFor(reason=ReasonCode.SOAKING, message=message) if message else None
    return Rollout(
        id=ID, extension="web", kind=RolloutKind.PUBLISH, state=state, created_by="person:1",
        created_at=NOW, strategy=RolloutStrategy(), stages=(stage,), waiting_for=waiting,
        etag="1", **fields,
    )  # fmt: skip


def session(*looks: Rollout, terminal: bool = False) -> tuple[Session, io.StringIO]:
    """A session whose server answers with these looks, and where its words go."""
    waiting = list(looks)
    made = Session()
    text = io.StringIO()
    made.__dict__["words"] = Console(file=text, force_terminal=terminal, width=200)
    get = lambda _: waiting.pop(0) if len(waiting) > 1 else waiting[0]  # noqa: E731 - one use
    made.__dict__["client"] = SimpleNamespace(rollouts=SimpleNamespace(get=get))
    return made, text


LOOKS = (
    rollout(RolloutState.RUNNING, 0, "soaking until 12:00"),
    rollout(RolloutState.RUNNING, 0, "soaking until 12:00"),
    rollout(RolloutState.RUNNING, 2, "soaking until 12:05"),
    rollout(RolloutState.SUCCEEDED, 3),
)


def test_without_a_terminal_each_change_is_one_line() -> None:
    made, text = session(*LOOKS)
    end = follow(made, ID, interval=1, sleep=lambda _: None)
    assert end.state is RolloutState.SUCCEEDED
    assert text.getvalue().splitlines() == [
        "web: Running, soaking until 12:00",
        "  canary: 0/3 ready, 0 in flight, 0 failed (at most 0)",
        "web: Running, soaking until 12:05",
        "  canary: 2/3 ready, 0 in flight, 0 failed (at most 0)",
        "web: Succeeded",
        "  canary: 3/3 ready, 0 in flight, 0 failed (at most 0)",
    ]


def test_on_a_terminal_there_is_a_bar_for_each_stage() -> None:
    made, text = session(*LOOKS, terminal=True)
    follow(made, ID, interval=1, sleep=lambda _: None)
    assert "canary" in text.getvalue()
    assert "━" in text.getvalue()


def test_watching_ends_after_its_time() -> None:
    made, _ = session(rollout(RolloutState.PAUSED))
    clock = iter(range(100))
    with pytest.raises(CommandError, match="Paused after 3 s") as caught:
        follow(made, ID, interval=1, seconds=3, sleep=lambda _: None, monotonic=lambda: next(clock))
    assert caught.value.status is Exit.UNAVAILABLE


@pytest.mark.parametrize(
    ("state", "fields", "words"),
    [
        (RolloutState.ROLLED_BACK, {"rolled_back_by": UUID(int=9)}, "the way back is rollout"),
        (RolloutState.SUPERSEDED, {"superseded_by": UUID(int=9)}, "took over"),
        (RolloutState.FAILED, {}, "ended as Failed"),
    ],
)
def test_an_end_without_success_has_a_status_of_its_own(
    state: RolloutState, fields: dict[str, Any], words: str
) -> None:
    with pytest.raises(CommandError, match=words) as caught:
        require_success(rollout(state, **fields))
    assert caught.value.status is Exit.ROLLOUT_FAILED


def test_who_waited_for_a_rollout_that_reached_no_cluster_has_nothing() -> None:
    with pytest.raises(CommandError, match="reached no cluster: 3 skipped") as caught:
        require_success(rollout(RolloutState.SUCCEEDED, skipped=3))
    assert caught.value.status is Exit.ROLLOUT_FAILED
    require_success(rollout(RolloutState.SUCCEEDED, 1, skipped=2))
    require_success(rollout(RolloutState.SUCCEEDED).model_copy(update={"stages": ()}))


def test_skipped_clusters_are_told_where_there_are_any() -> None:
    made, text = session(rollout(RolloutState.SUCCEEDED, 1, skipped=2))
    follow(made, ID, interval=1, sleep=lambda _: None)
    assert text.getvalue().splitlines()[1] == (
        "  canary: 1/3 ready, 0 in flight, 2 skipped, 0 failed (at most 0)"
    )


def test_names_cannot_steer_the_terminal() -> None:
    assert printable("a\x1b[31mb\r\n") == "a\\x1b[31mb\\r\\n"
    assert "\x1b" not in in_words(rollout(RolloutState.RUNNING, 0, "\x1b[2J"))


def test_a_lowered_pace_is_told_with_its_cause_and_a_full_one_is_not() -> None:
    pace = RolloutPace(per_minute=30, since=NOW, message="from 60 to 30 a minute: 1 of 3 failed")
    lowered = rollout(RolloutState.RUNNING, 1, "3 in flight", pace=pace)
    assert in_words(lowered).endswith("3 in flight [pace from 60 to 30 a minute: 1 of 3 failed]")
    full = rollout(
        RolloutState.RUNNING, 1, "3 in flight", pace=RolloutPace(per_minute=60, since=NOW)
    )
    assert in_words(full).endswith("3 in flight")


def test_cells_are_short() -> None:
    assert plain(None) == plain("") == plain(()) == "-"
    assert plain({"b": "2", "a": "1"}) == "a=1,b=2"
    assert ago(NOW, NOW.replace(hour=5)) == "5h ago"
    assert ago(NOW.replace(day=3), NOW) == "in 2d"
