"""The kstatus algorithm, kind by kind: what is ready, what is on its way, what has failed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given as given_any
from hypothesis import strategies as st

from agent.reconcile.readiness import ObjectStatus, compute
from agent.reconcile.readiness_kinds import RULES

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
CURRENT, IN_PROGRESS, FAILED = "Current", "InProgress", "Failed"


def obj(
    kind: str,
    api_version: str = "apps/v1",
    spec: dict[str, Any] | None = None,
    status: dict[str, Any] | None = None,
    **meta: Any,
) -> dict[str, Any]:
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": "x", "generation": 2, **meta},
        "spec": spec or {},
        "status": status or {},
    }


def cond(kind: str, status: str = "True", reason: str = "", message: str = "") -> dict[str, str]:
    return {"type": kind, "status": status, "reason": reason, "message": message}


def deployment(spec: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    full = {
        "observedGeneration": 2,
        "replicas": 1,
        "updatedReplicas": 1,
        "readyReplicas": 1,
        "availableReplicas": 1,
        "conditions": [
            cond("Progressing", reason="NewReplicaSetAvailable"),
            cond("Available"),
        ],
    }
    return obj("Deployment", spec=spec or {"progressDeadlineSeconds": 600}, status=full | status)


def stateful_set(spec: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    full = {
        "observedGeneration": 2,
        "replicas": 3,
        "readyReplicas": 3,
        "currentReplicas": 3,
        "updatedReplicas": 3,
        "currentRevision": "a",
        "updateRevision": "a",
    }
    return obj("StatefulSet", spec={"replicas": 3} | (spec or {}), status=full | status)


def daemon_set(**status: Any) -> dict[str, Any]:
    full = {
        "observedGeneration": 2,
        "desiredNumberScheduled": 2,
        "currentNumberScheduled": 2,
        "updatedNumberScheduled": 2,
        "numberAvailable": 2,
        "numberReady": 2,
    }
    return obj("DaemonSet", status={k: v for k, v in (full | status).items() if v is not None})


def replica_set(**status: Any) -> dict[str, Any]:
    full = {
        "observedGeneration": 2,
        "replicas": 1,
        "fullyLabeledReplicas": 1,
        "availableReplicas": 1,
        "readyReplicas": 1,
    }
    return obj("ReplicaSet", status=full | status)


def pod(phase: str = "Running", **status: Any) -> dict[str, Any]:
    return obj(
        "Pod",
        "v1",
        status={"phase": phase, **status},
        creationTimestamp=status.pop("created", "2026-01-01T11:00:00Z"),
    )


def job(*conditions: dict[str, str], **status: Any) -> dict[str, Any]:
    return obj("Job", "batch/v1", status={"conditions": list(conditions), **status})


def custom(*conditions: dict[str, Any] | None, **status: Any) -> dict[str, Any]:
    return obj("Widget", "example.com/v1", status={"conditions": list(conditions), **status})


def rolling(partition: int) -> dict[str, Any]:
    return {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": partition}}}


WAITING_CRASH = {"name": "main", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
UNSCHEDULABLE = cond("PodScheduled", "False", "Unschedulable")
CRD = ("CustomResourceDefinition", "apiextensions.k8s.io/v1")
API_SERVICE = ("APIService", "apiregistration.k8s.io/v1")

CASES: list[tuple[str, dict[str, Any], str, str]] = [
    ("deployment ready", deployment(), CURRENT, "Deployment is available. Replicas: 1"),
    ("deployment unseen", deployment(observedGeneration=1), IN_PROGRESS, "generation is 2"),
    ("deployment no replicas yet", deployment(replicas=0), IN_PROGRESS, "Replicas: 0/1"),
    ("deployment not updated", deployment(updatedReplicas=0), IN_PROGRESS, "Updated: 0/1"),
    ("deployment old pods", deployment(replicas=2), IN_PROGRESS, "Pending termination: 1"),
    ("deployment unavailable", deployment(availableReplicas=0), IN_PROGRESS, "Available: 0/1"),
    ("deployment unready", deployment(readyReplicas=0), IN_PROGRESS, "Ready: 0/1"),
    (
        "deployment scaled to zero",
        deployment(
            {"replicas": 0, "progressDeadlineSeconds": 600},
            replicas=0, updatedReplicas=0, readyReplicas=0, availableReplicas=0,
        ),
        CURRENT,
        "Replicas: 0",
    ),
    (
        "deployment out of time",
        deployment(conditions=[cond("Progressing", "False", "ProgressDeadlineExceeded")]),
        FAILED,
        "Progress deadline exceeded",
    ),
    (
        "deployment whose new replica set is not available",
        deployment(conditions=[cond("Progressing", reason="ReplicaSetUpdated"), cond("Available")]),
        IN_PROGRESS,
        "ReplicaSet not Available",
    ),
    (
        "deployment without deadline needs no Progressing",
        deployment({"replicas": 1}, conditions=[cond("Available")]),
        CURRENT,
        "",
    ),
    (
        "deployment whose group is the old one",
        deployment(availableReplicas=0) | {"apiVersion": "extensions/v1beta1"},
        IN_PROGRESS,
        "Available: 0/1",
    ),
    ("deployment counted in words", deployment(readyReplicas="1"), IN_PROGRESS, "Ready: 0/1"),
    ("deployment counted in halves", deployment(readyReplicas=0.5), IN_PROGRESS, "Ready: 0/1"),
    ("deployment without end", deployment(readyReplicas=float("inf")), IN_PROGRESS, "Ready: 0/1"),
    ("deployment without counts", deployment(readyReplicas=None), IN_PROGRESS, "Ready: 0/1"),
    ("deployment stalled", deployment(conditions=[cond("Stalled", message="x")]), FAILED, "x"),
    (
        "deployment that does not progress any more",
        deployment(
            conditions=[
                cond("Progressing", "False", "NewReplicaSetAvailable"),
                cond("Available"),
            ]
        ),
        IN_PROGRESS,
        "ReplicaSet not Available",
    ),
    (
        "deployment not Available",
        deployment(conditions=[cond("Progressing", reason="NewReplicaSetAvailable")]),
        IN_PROGRESS,
        "Deployment not Available",
    ),
    ("stateful set ready", stateful_set(), CURRENT, "Replicas: 3"),
    ("stateful set few", stateful_set(replicas=2), IN_PROGRESS, "Replicas: 2/3"),
    ("stateful set unready", stateful_set(readyReplicas=1), IN_PROGRESS, "Ready: 1/3"),
    ("stateful set many", stateful_set(replicas=4), IN_PROGRESS, "Pending termination: 1"),
    ("stateful set not current", stateful_set(currentReplicas=1), IN_PROGRESS, "Current: 1/3"),
    ("stateful set revisions", stateful_set(updateRevision="b"), IN_PROGRESS, "updated revision"),
    (
        "stateful set on delete",
        stateful_set({"updateStrategy": {"type": "OnDelete"}}, replicas=0),
        CURRENT,
        "ondelete",
    ),
    ("stateful set partition", stateful_set(rolling(2), updatedReplicas=0), IN_PROGRESS, "0/1"),
    ("stateful set partition done", stateful_set(rolling(2), updatedReplicas=1), CURRENT, "1"),
    ("stateful set partition zero", stateful_set(rolling(0), updatedReplicas=3), CURRENT, ""),
    ("stateful set without status", stateful_set() | {"status": None}, IN_PROGRESS, "0/3"),
    ("stateful set whose replicas are the default", obj("StatefulSet"), IN_PROGRESS, "0/1"),
    (
        "stateful set ready below its partition",
        stateful_set(rolling(1), updatedReplicas=2, updateRevision="b"),
        CURRENT,
        "updated: 2",
    ),
    ("stateful set partition unready", stateful_set(rolling(2), readyReplicas=2), IN_PROGRESS, "2"),
    (
        "daemon set without a generation",
        daemon_set() | {"metadata": {"name": "x"}},
        IN_PROGRESS,
        "generation",
    ),
    ("daemon set ready", daemon_set(), CURRENT, "Replicas: 2"),
    ("daemon set unseen", daemon_set(observedGeneration=None), IN_PROGRESS, "observedGeneration"),
    ("daemon set unknown", daemon_set(desiredNumberScheduled=None), IN_PROGRESS, "Missing"),
    ("daemon set current", daemon_set(currentNumberScheduled=1), IN_PROGRESS, "Current: 1/2"),
    ("daemon set updated", daemon_set(updatedNumberScheduled=1), IN_PROGRESS, "Updated: 1/2"),
    ("daemon set available", daemon_set(numberAvailable=1), IN_PROGRESS, "Available: 1/2"),
    ("daemon set ready count", daemon_set(numberReady=1), IN_PROGRESS, "Ready: 1/2"),
    ("daemon set without nodes", daemon_set(desiredNumberScheduled=0), CURRENT, "Replicas: 0"),
    ("replica set ready", replica_set(), CURRENT, "ReplicaSet is available"),
    ("replica set labelled", replica_set(fullyLabeledReplicas=0), IN_PROGRESS, "Labelled: 0/1"),
    ("replica set available", replica_set(availableReplicas=0), IN_PROGRESS, "Available: 0/1"),
    ("replica set ready count", replica_set(readyReplicas=0), IN_PROGRESS, "Ready: 0/1"),
    ("replica set many", replica_set(replicas=2), IN_PROGRESS, "Pending termination: 1"),
    (
        "replica set failure",
        replica_set(conditions=[cond("ReplicaFailure")]),
        IN_PROGRESS,
        "Check Pods",
    ),
    ("pod ready", pod(conditions=[cond("Ready")]), CURRENT, "Pod is Ready"),
    ("pod running", pod(), IN_PROGRESS, "not Ready"),
    ("pod crash looping", pod(containerStatuses=[WAITING_CRASH]), FAILED, "CrashLoop state: main"),
    (
        "pod whose init container crashes",
        pod(initContainerStatuses=[WAITING_CRASH | {"name": "init"}]),
        FAILED,
        "CrashLoop state: init",
    ),
    (
        "pod whose statuses are none",
        pod(containerStatuses="x", initContainerStatuses=[1, {"state": 2}, {"state": None}]),
        IN_PROGRESS,
        "not Ready",
    ),
    (
        "pod ready although a container waits",
        pod(containerStatuses=[WAITING_CRASH], conditions=[cond("Ready")]),
        CURRENT,
        "Pod is Ready",
    ),
    ("pod done", pod("Succeeded"), CURRENT, "completed successfully"),
    ("pod failed", pod("Failed"), CURRENT, "not successfully"),
    ("pod pending", pod("Pending"), IN_PROGRESS, "Pending"),
    ("pod unseen", pod(""), IN_PROGRESS, "not available"),
    ("pod odd", pod("Dancing"), "Unknown", "Dancing"),
    ("pod unschedulable", pod("Pending", conditions=[UNSCHEDULABLE]), FAILED, "scheduled"),
    (
        "pod unschedulable for a moment",
        obj(
            "Pod",
            "v1",
            status={"phase": "Pending", "conditions": [UNSCHEDULABLE]},
            creationTimestamp="2026-01-01T11:59:50Z",
        ),
        IN_PROGRESS,
        "not been scheduled",
    ),
    (
        "pod unschedulable since nobody knows when",
        obj("Pod", "v1", status={"phase": "Pending", "conditions": [UNSCHEDULABLE]}),
        FAILED,
        "could not be scheduled",
    ),
    (
        "pod waiting for its volumes",
        pod("Pending", conditions=[cond("PodScheduled", "False", "SchedulerError")]),
        IN_PROGRESS,
        "Pending",
    ),
    (
        "job suspended",
        job(cond("Suspended")) | {"spec": {"suspend": True}},
        CURRENT,
        "suspended",
    ),
    ("job to go on", job(cond("Suspended")), IN_PROGRESS, "Job not started"),
    ("job suspended soon", job() | {"spec": {"suspend": True}}, IN_PROGRESS, "Job not started"),
    ("job not failed", job(cond("Failed", "False")), IN_PROGRESS, "Job not started"),
    ("job not started", job(), IN_PROGRESS, "Job not started"),
    ("job running", job(startTime="2026-01-01T11:00:00Z"), CURRENT, "Job in progress"),
    (
        "job complete of several",
        job(cond("Complete"), succeeded=2) | {"spec": {"parallelism": 3, "completions": 2}},
        CURRENT,
        "succeeded: 2/2",
    ),
    ("job complete", job(cond("Complete"), succeeded=1), CURRENT, "succeeded: 1/1"),
    ("job failed", job(cond("Failed"), failed=3), FAILED, "failed: 3/1"),
    ("cron job", obj("CronJob", "batch/v1"), CURRENT, ""),
    ("claim bound", obj("PersistentVolumeClaim", "v1", status={"phase": "Bound"}), CURRENT, ""),
    (
        "claim lost",
        obj("PersistentVolumeClaim", "v1", status={"phase": "Lost"}),
        IN_PROGRESS,
        "phase: Lost",
    ),
    ("claim unbound", obj("PersistentVolumeClaim", "v1"), IN_PROGRESS, "phase: unknown"),
    (
        "budget seen",
        obj("PodDisruptionBudget", "policy/v1", status={"observedGeneration": 2}),
        CURRENT,
        "computed",
    ),
    (
        "budget of before",
        obj("PodDisruptionBudget", "policy/v1", status={"observedGeneration": 1}),
        IN_PROGRESS,
        "generation is 2",
    ),
    (
        "budget without a generation",
        {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget"},
        CURRENT,
        "computed",
    ),
    ("budget unseen", obj("PodDisruptionBudget", "policy/v1"), IN_PROGRESS, "observedGeneration"),
    ("service", obj("Service", "v1"), CURRENT, "Service is ready"),
    (
        "load balancer without address",
        obj("Service", "v1", {"type": "LoadBalancer"}),
        IN_PROGRESS,
        "ClusterIP not set",
    ),
    (
        "load balancer",
        obj("Service", "v1", {"type": "LoadBalancer", "clusterIP": "10.0.0.1"}),
        CURRENT,
        "",
    ),
    ("node port", obj("Service", "v1", {"type": "NodePort"}), CURRENT, "Service is ready"),
    ("service by name", obj("Service", "v1", {"type": "ExternalName"}), CURRENT, ""),
    ("config map", obj("ConfigMap", "v1"), CURRENT, ""),
    ("secret", obj("Secret", "v1"), CURRENT, ""),
    ("namespace", obj("Namespace", "v1", status={"phase": "Active"}), CURRENT, ""),
    ("ingress", obj("Ingress", "networking.k8s.io/v1"), CURRENT, "Resource is current"),
    ("autoscaler", obj("HorizontalPodAutoscaler", "autoscaling/v2"), CURRENT, ""),
    ("definition new", obj(*CRD), IN_PROGRESS, "Install in progress"),
    ("definition served", obj(*CRD, status={"conditions": [cond("Established")]}), CURRENT, ""),
    (
        "definition installing",
        obj(*CRD, status={"conditions": [cond("Established", "False", "Installing")]}),
        IN_PROGRESS,
        "",
    ),
    (
        "definition that will never be served",
        obj(*CRD, status={"conditions": [cond("Established", "False", "NotAccepted", "no")]}),
        FAILED,
        "no",
    ),
    (
        "definition accepted and not served yet",
        obj(*CRD, status={"conditions": [cond("NamesAccepted")]}),
        IN_PROGRESS,
        "Install in progress",
    ),
    (
        "definition whose names are taken",
        obj(*CRD, status={"conditions": [cond("NamesAccepted", "False", "Taken", "in use")]}),
        FAILED,
        "in use",
    ),
    ("api service", obj(*API_SERVICE, status={"conditions": [cond("Available")]}), CURRENT, ""),
    (
        "api service down",
        obj(*API_SERVICE, status={"conditions": [cond("Available", "False", "NoEndpoints")]}),
        IN_PROGRESS,
        "",
    ),
    ("flux unseen", obj("HelmRelease", "helm.toolkit.fluxcd.io/v2"), IN_PROGRESS, "not looked"),
    (
        "flux suspended, and its controller says that it has seen it",
        obj(
            "HelmRelease",
            "helm.toolkit.fluxcd.io/v2",
            spec={"suspend": True},
            status={"observedGeneration": 2, "conditions": [cond("Ready")]},
        ),
        IN_PROGRESS,
        "suspended",
    ),
    (
        "flux ready of the generation before",
        obj(
            "Kustomization",
            "kustomize.toolkit.fluxcd.io/v1",
            status={
                "observedGeneration": 2,
                "conditions": [{**cond("Ready"), "observedGeneration": 1}],
            },
        ),
        IN_PROGRESS,
        "older",
    ),
    ("custom without status", obj("Widget", "example.com/v1"), CURRENT, "Resource is current"),
    ("custom ready", custom(cond("Ready")), CURRENT, "Resource is Ready"),
    ("custom not ready", custom(cond("Ready", "False", "R", "why")), IN_PROGRESS, "why"),
    ("custom unsure", custom(cond("Ready", "Unknown", "R", "hm")), IN_PROGRESS, "hm"),
    ("custom odd", custom(cond("Ready", "Perhaps")), "Unknown", "Perhaps"),
    ("custom reconciling", custom(cond("Ready"), cond("Reconciling")), IN_PROGRESS, ""),
    ("custom stalled", custom(cond("Stalled", message="stuck")), FAILED, "stuck"),
    ("custom not stalled", custom(cond("Stalled", "False"), cond("Ready")), CURRENT, ""),
    ("custom stalled and trying", custom(cond("Reconciling"), cond("Stalled")), IN_PROGRESS, ""),
    ("custom stalled with null words", custom({"type": "Stalled", "status": "True",
                                               "reason": None, "message": None}), FAILED, ""),
    ("custom with a null among its conditions", custom(None, cond("Ready")), CURRENT, "Ready"),
    ("custom that counts in text", custom(observedGeneration="1"), IN_PROGRESS, "observed"),
    ("custom that has seen it in text", custom(observedGeneration="2"), CURRENT, ""),
    ("custom that hashes what it saw", custom(observedGeneration="f3a"), CURRENT, ""),
    ("custom whose spec is a text", custom() | {"spec": "x"}, CURRENT, ""),
    ("custom with conditions by name", custom() | {"status": {"conditions": {"Ready": 1}}},
     "Unknown", "status.conditions"),
    ("custom with conditions of another shape", custom({"type": "Ready", "status": True}),
     "Unknown", "status.conditions"),
    ("custom unseen", custom(cond("Ready"), observedGeneration=1), IN_PROGRESS, "observed"),
    (
        "custom with an older condition",
        custom({**cond("Ready"), "observedGeneration": 1}),
        IN_PROGRESS,
        "older",
    ),
    (
        "going, whatever its conditions say",
        obj("Deployment", deletionTimestamp="2026-01-01T00:00:00Z", status={"conditions": 1}),
        "Terminating",
        "deletion",
    ),
    ("not going", obj("Widget", "example.com/v1", deletionTimestamp=None), CURRENT, ""),
    ("nothing but a kind", {"kind": "Widget"}, CURRENT, ""),
    ("without a kind", {"metadata": None, "spec": None, "status": None}, CURRENT, ""),
    ("a status of one word", {"kind": "X", "status": "odd"}, "Unknown", "not an object"),
    (
        "going",
        obj("Widget", "example.com/v1", deletionTimestamp="2026-01-01T00:00:00Z"),
        "Terminating",
        "deletion",
    ),
    ("malformed", {"kind": "X", "metadata": [], "status": "odd"}, "Unknown", "not an object"),
    ("not there", {}, "NotFound", "not found"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("given", "status", "message"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_readiness(given: dict[str, Any], status: str, message: str) -> None:
    found = compute(given, now=NOW)
    assert found.status == status, found
    assert message in found.message


def test_what_was_ready_before_the_newest_generation_counts_for_nothing() -> None:
    for kind in (deployment, stateful_set, daemon_set, replica_set):
        assert compute(kind(observedGeneration=1), now=NOW).status == IN_PROGRESS


def test_every_kind_with_a_rule_of_its_own_is_among_the_cases() -> None:
    tried = {(str(c[1].get("apiVersion", "")).rpartition("/")[0], c[1].get("kind")) for c in CASES}
    flux = {rule for rule in RULES if rule[0].endswith("toolkit.fluxcd.io")}
    assert RULES.keys() - flux <= tried


def test_what_is_no_object_is_unknown_and_what_is_not_there_is_not_found() -> None:
    for odd in ("x", 1, [1], True):
        assert compute(odd).status == "Unknown"  # type: ignore[arg-type]  # as a caller might
    assert compute(None).status == "NotFound"


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["", "x", "1", "True"]),
    lambda below: (
        st.lists(below, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "status", "reason", "name", "state", "waiting"]), below
        )
    ),
    max_leaves=8,
)
FIELDS = sorted(
    {"observedGeneration", "conditions", "phase", "containerStatuses", "startTime"}
    | {"replicas", "updatedReplicas", "readyReplicas", "availableReplicas", "currentReplicas"}
    | {"desiredNumberScheduled", "fullyLabeledReplicas", "succeeded", "currentRevision"}
    | {"updateStrategy", "suspend", "type", "progressDeadlineSeconds", "parallelism"}
    | {"generation", "deletionTimestamp", "creationTimestamp"}
)
PART = JSON | st.dictionaries(st.sampled_from(FIELDS), JSON)


@given_any(kind=st.sampled_from(sorted(RULES)), parts=st.tuples(PART, PART, PART))
def test_whatever_an_object_holds_it_is_judged(
    kind: tuple[str, str], parts: tuple[Any, ...]
) -> None:
    held = dict(zip(("metadata", "spec", "status"), parts, strict=True))
    found = compute({"apiVersion": f"{kind[0]}/v1", "kind": kind[1], **held}, now=NOW)
    assert found.status in ObjectStatus
    assert isinstance(found.message, str)
