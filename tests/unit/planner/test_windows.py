"""What freezes and windows hold, the sentence that says so, and until when."""

from __future__ import annotations

from shared.contract.freeze import FreezeKind, FreezeSpec
from shared.contract.reasons import ReasonCode
from shared.contract.rollout import WaitingFor
from shared.planner.windows import Verdict, Window, Windows, judge_windows
from tests.unit.planner.clocks import BERLIN, MINUTE, at, nights, weekly


def test_deny_beats_allow_and_the_sentence_names_it() -> None:
    freeze = FreezeSpec(starts_at=at("2026-06-01T00:00"), ends_at=at("2026-06-03T21:00"))
    windows = Windows((Window("nights", nights()), Window("audit", freeze)))
    verdict = judge_windows(windows, at("2026-06-01T23:00", BERLIN))
    assert (verdict.reason, verdict.message) == (
        ReasonCode.FREEZE_ACTIVE,
        "freeze audit is in force",
    )
    assert verdict.changes_at == at("2026-06-03T21:00"), "23:00 in Berlin: the window is open then"


def test_one_open_window_of_several_is_enough() -> None:
    noon = FreezeSpec(kind=FreezeKind.ALLOW, weekly=(weekly("mon", "12:00", "13:00"),))
    windows = Windows((Window("nights", nights()), Window("noon", noon)))
    assert judge_windows(windows, at("2026-06-01T12:30")).is_open
    closed = judge_windows(windows, at("2026-06-01T13:00"))
    assert closed.reason is ReasonCode.WINDOW_CLOSED
    assert closed.changes_at == at("2026-06-01T22:00", BERLIN)


def test_a_freeze_without_times_is_in_force_until_it_is_deleted() -> None:
    verdict = judge_windows(Windows((Window("stop", FreezeSpec()),)), at("2026-06-01T12:00"))
    assert (verdict.is_open, verdict.changes_at) == (False, None)


def test_a_window_that_does_not_exist_is_closed_and_the_sentence_says_what_to_do() -> None:
    verdict = judge_windows(Windows(missing=("nights", "noon")), at("2026-06-01T12:00"))
    assert verdict == Verdict(
        ReasonCode.WINDOW_CLOSED,
        "the strategy names nights, noon, which does not exist: "
        "make it, or override it for this rollout",
    )


def test_a_freeze_is_named_before_a_window_that_does_not_exist() -> None:
    stop = Window("stop", FreezeSpec())
    now = at("2026-06-01T12:00")
    verdict = judge_windows(Windows((stop, Window("halt", FreezeSpec())), ("nights",)), now)
    assert verdict == Verdict(ReasonCode.FREEZE_ACTIVE, "freeze stop, halt is in force")


def test_an_override_opens_until_it_expires() -> None:
    now = at("2026-06-01T12:00")
    windows = Windows((Window("stop", FreezeSpec()),), override_until=now + MINUTE)
    assert judge_windows(windows, now).is_open
    assert judge_windows(windows, now).changes_at == now + MINUTE
    assert not judge_windows(windows, now + MINUTE).is_open


def test_an_override_that_is_over_says_when_the_freeze_ends() -> None:
    now, ends_at = at("2026-06-01T12:00"), at("2026-06-02T00:00")
    windows = Windows((Window("audit", FreezeSpec(ends_at=ends_at)),), override_until=now)
    assert judge_windows(windows, now) == Verdict(
        ReasonCode.FREEZE_ACTIVE, "freeze audit is in force", ends_at
    )


def test_without_freezes_and_windows_nothing_holds_and_nothing_changes() -> None:
    assert judge_windows(Windows(), at("2026-06-01T12:00")) == Verdict()


def test_it_stays_open_as_long_as_one_of_its_windows_is() -> None:
    morning = FreezeSpec(kind=FreezeKind.ALLOW, weekly=(weekly("mon", "08:00", "12:00"),))
    noon = FreezeSpec(kind=FreezeKind.ALLOW, weekly=(weekly("mon", "11:00", "13:00"),))
    windows = Windows((Window("morning", morning), Window("noon", noon)))
    assert judge_windows(windows, at("2026-06-01T11:30")) == Verdict(
        changes_at=at("2026-06-01T13:00")
    )
    assert judge_windows(windows, at("2026-06-01T13:00")) == Verdict(
        ReasonCode.WINDOW_CLOSED, "window morning, noon is closed", at("2026-06-08T08:00")
    )


def test_a_freeze_that_hands_over_to_another_holds_until_the_last() -> None:
    first = FreezeSpec(ends_at=at("2026-06-02T00:00"))
    second = FreezeSpec(starts_at=at("2026-06-01T18:00"), ends_at=at("2026-06-03T00:00"))
    windows = Windows((Window("first", first), Window("second", second)))
    assert judge_windows(windows, at("2026-06-01T12:00")) == Verdict(
        ReasonCode.FREEZE_ACTIVE, "freeze first is in force", at("2026-06-03T00:00")
    )


def test_the_search_for_an_end_is_bounded_and_says_how_far_it_came() -> None:
    """A window that opens every day under a freeze of a year."""
    daily = FreezeSpec(
        kind=FreezeKind.ALLOW,
        weekly=(weekly("mon tue wed thu fri sat sun", "10:00", "11:00"),),
    )
    year = FreezeSpec(ends_at=at("2027-06-01T00:00"))
    windows = Windows((Window("daily", daily), Window("year", year)))
    verdict = judge_windows(windows, at("2026-06-01T00:00"))
    assert verdict.changes_at == at("2026-07-02T11:00"), "after 32 days of two changes each"


def test_what_is_held_says_until_when_and_what_ends_it() -> None:
    held = Verdict(ReasonCode.WINDOW_CLOSED, "window x is closed", at("2026-06-01T00:00"))
    assert not held.is_open
    assert held.as_waiting() == WaitingFor(
        reason=ReasonCode.WINDOW_CLOSED,
        message="window x is closed",
        until=at("2026-06-01T00:00"),
        ends_when="nothing holds releases any more, or someone overrides it",
    )
    assert Verdict(changes_at=at("2026-06-01T00:00")).as_waiting() is None
