from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from arcbridge.cli.commands.foresee import summary
from shared.contract.plan import PredictedTimes, RolloutPlan, TimesSource
from shared.contract.reasons import ReasonCode
from shared.contract.rollout import WaitingFor


def plan(**changes: Any) -> RolloutPlan:
    return RolloutPlan.model_validate(
        {
            "extension": "web",
            "revision": 2,
            "digest": "sha256:" + "0" * 64,
            "unchanged": False,
            "plannedAt": datetime(2026, 1, 1, tzinfo=UTC),
            "stages": [],
            "blastRadius": 3,
            "endsAs": "Succeeded",
            "applyTimes": PredictedTimes(
                p50_seconds=1, p95_seconds=2, source=TimesSource.DEFAULT, samples=0
            ),
            **changes,
        },
        by_name=True,
    )


def test_a_plan_that_ends_says_no_more_than_how_far_it_goes() -> None:
    assert summary(plan()) == [
        "web: would become revision 2 on 0 clusters",
        "  failing everywhere, it would reach at most 3",
    ]


def test_a_plan_says_what_it_would_wait_for_without_an_end() -> None:
    waiting = WaitingFor(
        reason=ReasonCode.DEPENDENCY_NOT_READY, message="db is not there", ends_when="it is"
    )
    said = summary(plan(waitingFor=waiting, endsAs="Running"))
    assert said[-1] == "  it would not end by itself: db is not there, until it is"


def test_a_plan_that_fails_without_a_failure_sends_to_the_simulation() -> None:
    assert "it would end as Failed" in summary(plan(endsAs="Failed"))[-1]
