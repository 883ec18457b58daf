"""Pure decisions of the agent: batches, steps to an identity, endings, status, conditions."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.cluster.conditions import ConditionBoard
from agent.cluster.resource import ClusterResource, ClusterSpec, InvalidCluster
from agent.cluster.status import StatusFacts, render_status, without_heartbeat
from agent.credentials.identity import Identity
from agent.enrol.decision import Step, next_step
from agent.ids import uuid7
from agent.link.endings import End, ended_by, ended_by_notice, known_reason
from agent.member import needs_new_start
from agent.reconcile.seam import ExtensionStatus
from agent.report.batch import next_batch
from agent.settings import AgentProcessSettings, SettingsError
from agent.statedir import StateDirectoryInUse, owned
from shared.contract.errors import ErrorCode
from shared.contract.limits import STATUS_BODY_BYTES
from shared.contract.reasons import ReasonCode
from shared.contract.status import Condition, ConditionType, StatusBatch
from shared.manifests.render import crd
from shared.rpc.status import trailers_of
from tests.unit.agent_link.conftest import NOW, FakeClock, draft

SPEC = ClusterSpec(
    control_plane_url="https://control.example",
    ca_pin=f"sha256:{'0' * 64}",
    cluster_name="eu-1",
)


def events(count: int, message: str = "") -> list[Any]:
    return [
        draft().model_copy(update={"message": message}).to_event(uuid7(NOW, bytes(10)), n + 1, NOW)
        for n in range(count)
    ]


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 400), st.integers(0, 2000))
def test_a_batch_is_within_its_limits_and_in_order(count: int, characters: int) -> None:
    waiting = events(min(count, 260), "x" * characters)
    batch = next_batch(waiting)
    assert list(batch) == waiting[: len(batch)]
    assert len(batch) <= 200
    assert bool(batch) == bool(waiting)
    wire = StatusBatch(session_epoch=1, events=batch).model_dump_json(exclude_none=True)
    assert len(wire.encode()) <= STATUS_BODY_BYTES


def test_a_good_identity_is_used_even_when_a_token_is_there(identity: Identity) -> None:
    now = identity.not_before + timedelta(minutes=10)
    assert next_step(identity, "a-token", SPEC, now, None) is Step.USE


def test_without_identity_and_token_the_agent_waits() -> None:
    assert next_step(None, None, SPEC, NOW, None) is Step.WAIT
    assert next_step(None, "a-token", SPEC, NOW, None) is Step.ENROL


def test_an_expired_identity_needs_a_token(identity: Identity) -> None:
    now = identity.not_after + timedelta(seconds=1)
    assert next_step(identity, None, SPEC, now, None) is Step.WAIT
    assert next_step(identity, "a-token", SPEC, now, None) is Step.ENROL


def test_a_rejected_or_foreign_identity_needs_a_token(identity: Identity) -> None:
    now = identity.not_before + timedelta(minutes=10)
    assert next_step(identity, "a-token", SPEC, now, identity.serial) is Step.ENROL
    moved = SPEC.model_copy(update={"control_plane_url": "https://elsewhere.example"})
    assert next_step(identity, "a-token", moved, now, None) is Step.ENROL


@pytest.mark.parametrize(
    ("code", "end"),
    [
        (grpc.StatusCode.PERMISSION_DENIED, End.REVOKED),
        (grpc.StatusCode.UNAUTHENTICATED, End.EXPIRED),
        (grpc.StatusCode.ABORTED, End.DUPLICATE),
        (grpc.StatusCode.UNAVAILABLE, End.BROKEN),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, End.BROKEN),
    ],
)
def test_a_status_says_why_the_stream_ended(code: grpc.StatusCode, end: End) -> None:
    trailers = grpc.aio.Metadata(*trailers_of(ErrorCode.RATE_LIMITED, retry_after=2.5))
    error = grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailers, "why")
    ended = ended_by(error)
    assert (ended.end, ended.detail, ended.retry_after) == (end, "why", 2.5)


def test_a_suspended_tenants_agent_keeps_its_certificate() -> None:
    trailers = trailers_of(ErrorCode.FORBIDDEN, reason=ReasonCode.TENANT_SUSPENDED.value)
    error = grpc.aio.AioRpcError(
        grpc.StatusCode.PERMISSION_DENIED, grpc.aio.Metadata(), grpc.aio.Metadata(*trailers), "why"
    )
    assert ended_by(error).end is End.SUSPENDED


def test_a_notice_this_release_does_not_know_ends_nothing() -> None:
    assert known_reason("FromTheFuture") is None
    assert ended_by_notice(None, "?") is None
    assert ended_by_notice(ReasonCode.CLOCK_SKEWED, "off") is None


def board(clock: FakeClock, heard: list[tuple[Condition, bool]]) -> ConditionBoard:
    return ConditionBoard(clock.now, lambda condition, moved: heard.append((condition, moved)))


def test_the_transition_time_moves_only_with_the_status(clock: FakeClock) -> None:
    heard: list[tuple[Condition, bool]] = []
    conditions = board(clock, heard)
    conditions.set(ConditionType.CONNECTED, False, ReasonCode.CONTROL_PLANE_UNREACHABLE, "one")
    clock.advance(5)
    conditions.set(ConditionType.CONNECTED, False, ReasonCode.CONTROL_PLANE_UNREACHABLE, "two")
    conditions.set(ConditionType.CONNECTED, False, ReasonCode.CONTROL_PLANE_UNREACHABLE, "two")
    clock.advance(5)
    conditions.set(ConditionType.CONNECTED, True, ReasonCode.CLUSTER_CONNECTED)
    times = [(c.last_transition_time - NOW).total_seconds() for c, _ in heard]
    assert times == [0, 0, 10]
    assert [moved for _, moved in heard] == [True, False, True]


def test_stored_conditions_keep_their_time_and_foreign_ones_do_no_harm(clock: FakeClock) -> None:
    heard: list[tuple[Condition, bool]] = []
    first = board(clock, [])
    first.set(ConditionType.REGISTERED, True, ReasonCode.REGISTERED)
    stored = [c.to_wire() for c in first.all()]
    clock.advance(60)
    again = board(clock, heard)
    again.restore([{"type": "OfALaterRelease"}, *stored])
    again.set(ConditionType.REGISTERED, True, ReasonCode.REGISTERED)
    assert heard == []
    assert again.all()[0].last_transition_time == NOW


def facts(**changes: Any) -> StatusFacts:
    empty = StatusFacts("pod", None, 1, None, None, None, (), ())
    return replace(empty, **changes)


def schema_properties() -> set[str]:
    schema = crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return set(schema["properties"]["status"]["properties"])


def test_every_field_of_the_status_is_in_the_definition(identity: Identity) -> None:
    one = ExtensionStatus("web", 3, True, ReasonCode.UPGRADE_SUCCEEDED)
    status = render_status(facts(identity=identity, extensions=(one,), last_heartbeat=NOW))
    assert set(status) == schema_properties()
    assert status["extensionsReady"] == "1/1"
    assert status["lastHeartbeat"] == "2026-03-01T12:00:00Z"


def test_a_heartbeat_alone_is_no_news(identity: Identity) -> None:
    first = render_status(facts(last_heartbeat=NOW))
    second = render_status(facts(last_heartbeat=NOW + timedelta(seconds=30)))
    assert first != second
    assert without_heartbeat(first) == without_heartbeat(second)


def test_a_spec_that_cannot_be_used_names_the_field() -> None:
    obj = {"metadata": {"name": "eu-1"}, "spec": {"controlPlaneUrl": "x", "clusterName": "eu-1"}}
    with pytest.raises(InvalidCluster, match=r"spec\.caPin"):
        ClusterResource.read(obj)


def test_only_a_change_of_control_plane_needs_a_new_start() -> None:
    assert not needs_new_start(SPEC, SPEC.model_copy(update={"suspend": True}))
    assert needs_new_start(SPEC, SPEC.model_copy(update={"cluster_name": "eu-2"}))


def test_settings_name_everything_that_is_wrong() -> None:
    with pytest.raises(SettingsError) as caught:
        AgentProcessSettings.from_environ(
            {"ARCBRIDGE_AGENT_HTTP_PORT": "99999", "ARCBRIDGE_AGENT_LOG_LEVEL": "loud", "PATH": ""}
        )
    for name in ("STATE_DIR", "HTTP_PORT", "LOG_LEVEL", "ARCBRIDGE_HELM", "ARCBRIDGE_KUBECTL"):
        assert name in str(caught.value)


def test_a_state_directory_belongs_to_one_process(tmp_path: Any) -> None:
    with owned(tmp_path), pytest.raises(StateDirectoryInUse), owned(tmp_path):
        pass
    with owned(tmp_path):
        pass


def test_ids_are_uuids_of_version_7_in_order_of_time() -> None:
    ids = [uuid7(NOW + timedelta(milliseconds=n), bytes(10)) for n in range(5)]
    assert ids == sorted(ids)
    assert {i.version for i in ids} == {7}
