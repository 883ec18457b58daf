"""Whose word about the time counts for what."""

from __future__ import annotations

from datetime import timedelta

from agent.clock import ControlPlaneClock, PresumedClock
from tests.unit.agent_link.conftest import NOW, FakeClock

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


def test_the_date_of_an_answer_decides_nothing(clock: FakeClock) -> None:
    judged = ControlPlaneClock(clock)
    for moved in (-9 * DAY, 9 * DAY):
        assert judged.hear(NOW + moved) == -moved
        assert judged.now() == NOW


def test_until_the_relay_is_heard_the_date_of_an_answer_dates_what_is_sent(
    clock: FakeClock,
) -> None:
    judged = ControlPlaneClock(clock)
    sent = PresumedClock(judged)
    assert sent.now() == NOW
    judged.hear(NOW - 5 * HOUR)
    assert sent.now() == NOW - 5 * HOUR
    judged.vouch(NOW)
    judged.hear(NOW - 5 * HOUR)
    assert sent.now() == judged.now() == NOW


def test_a_machine_whose_clock_is_off_goes_by_the_relay(clock: FakeClock) -> None:
    judged = ControlPlaneClock(clock)
    assert judged.vouch(NOW - 5 * HOUR) == 5 * HOUR
    clock.advance(60)
    assert judged.now() == NOW - 5 * HOUR + timedelta(minutes=1)
    assert judged.hear(NOW) == 5 * HOUR, "told by the relay's time, whatever the answer says"


def test_what_the_relay_said_goes_on_when_the_machine_s_clock_is_set(clock: FakeClock) -> None:
    judged = ControlPlaneClock(clock)
    judged.vouch(NOW)
    clock._now += 5 * HOUR
    assert judged.now() == NOW
    clock._now -= 10 * HOUR
    assert judged.now() == NOW


def test_a_small_difference_is_no_matter(clock: FakeClock) -> None:
    judged = ControlPlaneClock(clock)
    judged.vouch(NOW + timedelta(seconds=5))
    assert judged.now() == NOW


def test_it_is_never_earlier_than_what_the_ca_has_signed(clock: FakeClock) -> None:
    judged = ControlPlaneClock(clock)
    judged.prove(NOW + DAY)
    judged.prove(NOW - DAY)
    judged.hear(NOW - 9 * DAY)
    assert judged.now() == PresumedClock(judged).now() == NOW + DAY
