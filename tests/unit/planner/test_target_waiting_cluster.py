"""What a target says that waits for its cluster."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.contract.reasons import ReasonCode
from shared.contract.rollout import WaitingFor
from shared.contract.states import SkipReason, TargetState
from shared.planner.target_waiting import target_waiting_for
from shared.planner.view import Reach, RolloutView, TargetView
from tests.unit.planner.waits import (
    BUSY,
    LOOKED_AT,
    NOW,
    RETURNS,
    SILENT,
    T0,
    ago,
    released,
    target,
    view,
    waits,
)

OF_ITS_CLUSTER: dict[str, tuple[RolloutView, TargetView, WaitingFor]] = {
    "a silent cluster": (
        view(),
        target(reach=SILENT),
        waits(
            ReasonCode.CLUSTER_OFFLINE,
            "the cluster is silent",
            RETURNS,
            ago(minutes=4),
            NOW + timedelta(minutes=6),
        ),
    ),
    "a cluster that never spoke": (
        view(),
        target(reach=Reach(connected=False)),
        waits(
            ReasonCode.CLUSTER_OFFLINE,
            "the cluster is silent",
            RETURNS,
            T0,
            T0 + timedelta(minutes=10),
        ),
    ),
    "a cluster that never spoke since the release": (
        view(),
        released(reach=Reach(connected=False)),
        waits(
            ReasonCode.CLUSTER_OFFLINE,
            "the cluster is silent",
            RETURNS,
            ago(minutes=2),
            NOW + timedelta(minutes=8),
        ),
    ),
    "a cluster that rests": (
        view(),
        target(reach=BUSY),
        waits(
            ReasonCode.NOT_NOW,
            "the cluster asked to be left alone",
            "that time is over",
            T0,
            NOW + timedelta(hours=3),
        ),
    ),
    "a cluster that rests since the release": (
        view(),
        released(reach=BUSY),
        waits(
            ReasonCode.NOT_NOW,
            "the cluster asked to be left alone",
            "that time is over",
            ago(minutes=2),
            NOW + timedelta(hours=3),
        ),
    ),
    "a cluster that is gone": (
        view(),
        target(reach=Reach(gone=True, silent_since=ago(minutes=8))),
        waits(
            ReasonCode.CERTIFICATE_REVOKED,
            "the cluster is no longer registered",
            f"{LOOKED_AT}: the target is skipped then",
            ago(minutes=8),
        ),
    ),
    "the return of a cluster that was skipped": (
        view(),
        target(TargetState.SKIPPED, skip_reason=SkipReason.OFFLINE, reach=SILENT),
        waits(
            ReasonCode.CLUSTER_OFFLINE,
            "the cluster is silent",
            "the cluster returns: it is taken up again then",
            ago(minutes=4),
        ),
    ),
    "the rest of a cluster that was skipped": (
        view(),
        target(TargetState.SKIPPED, skip_reason=SkipReason.NOT_NOW, reach=BUSY),
        waits(
            ReasonCode.NOT_NOW,
            "the cluster asked to be left alone",
            "that time is over",
            T0,
            NOW + timedelta(hours=3),
        ),
    ),
    "a look at a cluster that is back": (
        view(),
        target(
            TargetState.SKIPPED, skip_reason=SkipReason.OFFLINE,
            reach=Reach(silent_since=ago(minutes=5)),
        ),
        waits(
            ReasonCode.CLUSTER_CONNECTED,
            "the cluster is back",
            f"{LOOKED_AT}: the target is taken up then",
            ago(minutes=5),
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", OF_ITS_CLUSTER)
def test_a_target_waits_for(case: str) -> None:
    seen, one, said = OF_ITS_CLUSTER[case]
    assert target_waiting_for(seen, one, NOW) == said
