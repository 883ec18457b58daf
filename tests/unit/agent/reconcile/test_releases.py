"""What Helm's own records say of a release, and how a stuck one is freed."""

from __future__ import annotations

from typing import Any

import pytest

from agent.errors import ToolError
from agent.reconcile.helm_failures import helm_failure
from agent.reconcile.releases import (
    ReleaseState,
    Revision,
    decode_release,
    encode_release,
    made_by_agent,
    state_of,
    unlocked,
)
from shared.contract.reasons import ReasonCode


def revision(version: int, status: str, mark: str = "m", description: str = "") -> Revision:
    release = {"info": {"status": status, "description": description}, "manifest": "x"}
    secret: dict[str, Any] = {
        "metadata": {"name": f"v{version}", "resourceVersion": "7", "labels": {"status": status}},
        "data": {"release": encode_release(release)},
    }
    return Revision(version, status, "web", mark, secret)


@pytest.mark.parametrize(
    ("statuses", "state"),
    [
        ([], ReleaseState.ABSENT),
        (["deployed"], ReleaseState.IN_SYNC),
        (["pending-install"], ReleaseState.PENDING),
        (["pending-upgrade", "deployed"], ReleaseState.PENDING),
        (["pending-rollback", "failed", "superseded"], ReleaseState.PENDING),
        (["uninstalling"], ReleaseState.PENDING),
        (["failed"], ReleaseState.FAILED_INSTALL),
        (["failed", "failed"], ReleaseState.FAILED_INSTALL),
        (["failed", "deployed"], ReleaseState.FAILED),
        (["failed", "superseded"], ReleaseState.FAILED),
        (["uninstalled"], ReleaseState.UNINSTALLED),
    ],
)
def test_the_state_of_a_release(statuses: list[str], state: ReleaseState) -> None:
    newest = len(statuses)
    revisions = [revision(newest - i, status) for i, status in enumerate(statuses)]
    assert state_of(revisions, "m") is state


def test_a_release_of_other_content_or_of_someone_else_is_not_in_sync() -> None:
    assert state_of([revision(1, "deployed", "other")], "m") is ReleaseState.OUT_OF_SYNC
    assert state_of([revision(1, "deployed", "")], "m") is ReleaseState.FOREIGN


def test_freeing_a_release_marks_it_failed_and_keeps_its_version() -> None:
    freed = unlocked(revision(3, "pending-upgrade"), "killed")
    assert freed["metadata"]["labels"]["status"] == "failed"
    assert freed["metadata"]["resourceVersion"] == "7"
    release = decode_release(freed)
    assert release["info"]["status"] == "failed"
    assert release["manifest"] == "x"


def test_a_revision_that_a_person_made_is_told_from_ours() -> None:
    assert made_by_agent(revision(1, "deployed", description="ArcBridge revision 1"))
    assert not made_by_agent(revision(2, "deployed", description="Rollback to 1"))


@pytest.mark.parametrize(
    ("words", "reason", "final"),
    [
        (
            "Error: values don't meet the specifications of the schema(s) in the following chart",
            ReasonCode.VALUES_INVALID,
            True,
        ),
        (
            'Error: UPGRADE FAILED: template: web/templates/a.yaml:1:2: executing "x"',
            ReasonCode.BUILD_FAILED,
            True,
        ),
        (
            "Error: unable to build kubernetes objects from release manifest: resource mapping "
            'not found: no matches for kind "Widget" in version "a/v1"',
            ReasonCode.BUILD_FAILED,
            False,
        ),
        (
            'Error: UPGRADE FAILED: Apply failed with 1 conflict: conflict with "kubectl" using '
            "apps/v1: .spec.replicas",
            ReasonCode.APPLY_CONFLICT,
            False,
        ),
        ("Error: UPGRADE FAILED: something else", ReasonCode.UPGRADE_FAILED, False),
    ],
)
def test_helms_words_become_a_reason(words: str, reason: ReasonCode, final: bool) -> None:
    failure = helm_failure(ToolError(words, exit_code=1, output=words), first=False)
    assert (failure.reason, failure.final) == (reason, final)
    assert not str(failure).startswith("Error:")


def test_a_first_install_that_fails_is_an_install_failure() -> None:
    failure = helm_failure(ToolError("boom", exit_code=1, output="boom"), first=True)
    assert failure.reason is ReasonCode.INSTALL_FAILED


@pytest.mark.parametrize(
    ("words", "passing"),
    [
        ("Error: UPGRADE FAILED: Internal error occurred: failed calling webhook", True),
        ("Error: Kubernetes cluster unreachable: dial tcp: connection refused", True),
        ("Error: UPGRADE FAILED: etcdserver: leader changed", True),
        ("Error: UPGRADE FAILED: etcdserver: request is too large", False),
        ("Error: failed to create typed patch object: field not declared in schema", False),
        ("connection refused\nError: UPGRADE FAILED: resource Job/a not ready", False),
    ],
)
def test_the_servers_own_trouble_is_known_by_helms_last_word(words: str, passing: bool) -> None:
    failure = helm_failure(ToolError(words, exit_code=1, output=words), first=False)
    assert failure.passing is passing
