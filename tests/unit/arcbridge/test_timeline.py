from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from arcbridge.cli.timeline import draw, lasting
from shared.contract.plan import PredictedTimes, SimulatedMoment, Simulation, TimesSource
from shared.contract.reasons import ReasonCode
from shared.contract.rollout import WaitingFor


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0s"), (59.4, "59s"), (60, "1m00s"), (3599, "59m59s"), (9000, "2h30m"), (93600, "1d02h")],
)
def test_times_are_given_in_their_two_largest_units(seconds: float, words: str) -> None:
    assert lasting(seconds) == words


def moment(after: float, reached: int, failed: int = 0) -> SimulatedMoment:
    return SimulatedMoment(
        after_seconds=after, reached=reached, in_flight=0, succeeded=reached - failed,
        failed=failed, skipped=0, taken_back=0,
    )  # fmt: skip


def simulation(**changes: Any) -> Simulation:
    stage = {"name": "canary", "total": 4, "succeeded": 4, "failed": 0, "skipped": 0}
    times = {"openedAfterSeconds": 0, "passedAfterSeconds": 60}
    return Simulation.model_validate(
        {
            "extension": "web",
            "revision": 2,
            "seed": 7,
            "failures": "5%",
            "offline": 0,
            "startsAt": datetime(2026, 1, 1, tzinfo=UTC),
            "state": "Succeeded",
            "endsAfterSeconds": 120,
            "targets": 8,
            "reached": 8,
            "takenBack": 0,
            "blastRadius": 1,
            "stages": [
                {**stage, "unfinished": 0, **times},
                {**stage, "name": "broad", "unfinished": 0, "openedAfterSeconds": 60,
                 "passedAfterSeconds": 120},
            ],
            "samples": [moment(0, 0), moment(60, 4), moment(120, 8)],
            "events": [{"afterSeconds": 60, "reason": "StagePassed", "message": "ok\u001b[31m"}],
            "applyTimes": PredictedTimes(
                p50_seconds=1, p95_seconds=2, source=TimesSource.DEFAULT, samples=0
            ),
            **changes,
        },
        by_name=True,
    )  # fmt: skip


def test_stages_are_bars_under_one_axis() -> None:
    lines = draw(simulation(stages=simulation().stages[:1]), width=12)
    axis = next(line for line in lines if line.strip().startswith("0s"))
    bar = next(line for line in lines if line.strip().startswith("canary"))
    assert len(bar.split()[1]) == 12
    assert bar.split()[1].startswith("█████")
    assert bar.split()[1].endswith("····")
    assert axis.index("0s") == bar.index("█")
    assert "4: 4 ready" in bar


def test_numbers_rise_to_what_was_reached() -> None:
    (row,) = [line for line in draw(simulation(stages=()), width=12) if "reached  " in line]
    assert "at most 8, 8 at the end" in row
    assert "▄" in row
    assert "█" in row


def test_clusters_that_wait_for_other_extensions_are_drawn() -> None:
    held = moment(60, 4).model_copy(update={"held": 3})
    lines = draw(simulation(samples=[moment(0, 0), held, moment(120, 8)]), width=12)
    (row,) = [line for line in lines if line.strip().startswith("held")]
    assert "at most 3, 0 at the end" in row


def test_what_it_waits_for_is_told_where_it_does_not_end() -> None:
    waiting = WaitingFor(
        reason=ReasonCode.ROLLOUT_PAUSED, message="paused", ends_when="someone resumes it"
    )
    text = "\n".join(draw(simulation(waitingFor=waiting, endsAfterSeconds=None, state="Paused")))
    assert "Paused waits from 2m00s on" in text
    assert "paused, until someone resumes it" in text


def test_names_cannot_steer_the_terminal() -> None:
    assert not any("\u001b" in line for line in draw(simulation()))
