"""Jobs: pods that run to completion."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dev.kube.controllers.common import (
    JOBS,
    MANAGER,
    PODS,
    children,
    condition,
    deleting,
    is_true,
    pod_from_template,
    with_condition,
)
from dev.kube.resources import ObjectKey
from dev.kube.schema import Json
from dev.kube.store import Record

if TYPE_CHECKING:
    from dev.kube.cluster import Cluster


def reconcile_job(cluster: Cluster, key: ObjectKey) -> None:
    """Make the pods a Job still needs, and report how far it has come."""
    record = cluster.get(JOBS, key)
    if record is None or deleting(record.obj):
        return
    job, status = record.obj, record.obj.get("status") or {}
    pods = children(cluster, PODS, job)
    ended = condition(status, "Complete") or condition(status, "Failed")
    if not ended:
        _fill(cluster, job, pods)
        pods = children(cluster, PODS, job)
    cluster.set_status(JOBS, record, _status(cluster, job, pods), MANAGER)


def _phases(pods: list[Record], phase: str) -> int:
    return sum((pod.obj.get("status") or {}).get("phase") == phase for pod in pods)


def _active(pods: list[Record]) -> int:
    return len(pods) - _phases(pods, "Succeeded") - _phases(pods, "Failed")


def _fill(cluster: Cluster, job: Json, pods: list[Record]) -> None:
    spec = job["spec"]
    if spec.get("suspend") or _phases(pods, "Failed") > spec["backoffLimit"]:
        return
    left = spec.get("completions", 1) - _phases(pods, "Succeeded")
    for _ in range(min(left, spec["parallelism"]) - _active(pods)):
        name = f"{job['metadata']['name']}-"
        pod = pod_from_template(job, spec["template"], generateName=name)
        cluster.create(PODS, pod, MANAGER)


def _status(cluster: Cluster, job: Json, pods: list[Record]) -> Json:
    spec, old, now = job["spec"], job.get("status") or {}, cluster.now()
    done, failed = _phases(pods, "Succeeded"), _phases(pods, "Failed")
    running = [pod for pod in pods if is_true(pod.obj, "Ready")]
    status: Json = {
        "startTime": old.get("startTime", now),
        "active": _active(pods),
        "ready": len(running),
        "succeeded": max(done, old.get("succeeded", 0)),
        "failed": max(failed, old.get("failed", 0)),
        "terminating": 0,
        "uncountedTerminatedPods": {},
    }
    for name in ("active", "succeeded", "failed"):
        if not status[name]:
            del status[name]
    conditions = old.get("conditions")
    if "completionTime" in old:
        status["completionTime"] = old["completionTime"]
    if spec.get("suspend"):
        del status["startTime"]
        conditions = with_condition(
            conditions, "Suspended", "True", "JobSuspended", "Job suspended", now
        )
    elif condition(old, "Suspended"):
        conditions = with_condition(
            conditions, "Suspended", "False", "JobResumed", "Job resumed", now
        )
    if done >= spec.get("completions", 1) and not condition(old, "Complete"):
        text = "Reached expected number of succeeded pods"
        for kind in ("SuccessCriteriaMet", "Complete"):
            conditions = with_condition(conditions, kind, "True", "CompletionsReached", text, now)
        status["completionTime"] = now
    elif failed > spec["backoffLimit"] and not condition(old, "Failed"):
        text = "Job has reached the specified backoff limit"
        for kind in ("FailureTarget", "Failed"):
            conditions = with_condition(conditions, kind, "True", "BackoffLimitExceeded", text, now)
    if conditions:
        status["conditions"] = conditions
    return status
