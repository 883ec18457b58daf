"""Answers of the API server become errors of the agent's own tree."""

from __future__ import annotations

import json

import pytest

from agent.errors import (
    KubeAlreadyExists,
    KubeApplyConflict,
    KubeConflict,
    KubeError,
    KubeForbidden,
    KubeGone,
    KubeInvalid,
    KubeNotFound,
)
from agent.kube.discovery import Resource
from agent.kube.rest import error_of


def status(code: int, reason: str = "", **details: object) -> bytes:
    return json.dumps({"message": "m", "reason": reason, "code": code, "details": details}).encode()


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        (400, "BadRequest", KubeInvalid),
        (401, "Unauthorized", KubeForbidden),
        (403, "Forbidden", KubeForbidden),
        (404, "NotFound", KubeNotFound),
        (409, "AlreadyExists", KubeAlreadyExists),
        (409, "Conflict", KubeConflict),
        (410, "Expired", KubeGone),
        (422, "Invalid", KubeInvalid),
        (500, "InternalError", KubeError),
    ],
)
def test_the_error_of_an_answer(code: int, reason: str, kind: type[KubeError]) -> None:
    error = error_of(code, status(code, reason), "GET /x")
    assert type(error) is kind
    assert (error.status, error.reason) == (code, reason)


def test_only_what_may_pass_by_itself_is_worth_another_try() -> None:
    assert error_of(503, b"", "GET /x").retryable
    assert error_of(429, b"", "GET /x").retryable
    assert not error_of(422, b"", "GET /x").retryable


def test_an_apply_conflict_names_the_other_managers() -> None:
    causes = [
        {
            "reason": "FieldManagerConflict",
            "message": 'conflict with "kubectl-edit" using apps/v1',
            "field": ".spec.replicas",
        }
    ]
    error = error_of(409, status(409, "Conflict", causes=causes), "PATCH /x")
    assert isinstance(error, KubeApplyConflict)
    assert error.owners == (("kubectl-edit", ".spec.replicas"),)


def test_an_answer_that_is_not_json_still_is_an_error() -> None:
    assert "502" in str(error_of(502, b"<html>bad gateway", "GET /x"))


def test_paths() -> None:
    pods = Resource("", "v1", "Pod", "pods", namespaced=True)
    roles = Resource("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", False)
    assert pods.path() == "/api/v1/pods"
    assert pods.path("a", "b") == "/api/v1/namespaces/a/pods/b"
    assert roles.path("a", "b:c") == "/apis/rbac.authorization.k8s.io/v1/clusterroles/b%3Ac"
