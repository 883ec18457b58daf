"""When the built-in kinds are ready: kstatus' rules, in its order, one function per kind.

The rules are those of sigs.k8s.io/cli-utils/pkg/kstatus. Some are stricter here: init containers
may be crash looping too, an APIService has to be Available, and a PodDisruptionBudget and Flux's
objects have to have been looked at. A LoadBalancer service is judged as kstatus does, by its
cluster address: where nothing hands out others it would never be ready.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from agent.reconcile.readiness_types import (
    Object,
    Readiness,
    condition,
    conditions_of,
    count_at,
    current,
    failed,
    generation_at,
    in_progress,
    items_at,
    optional_count_at,
    text_at,
    unknown,
    value_at,
    words_of,
)

Rule = Callable[[Object, datetime], Readiness | None]
"""None leaves it to the Ready condition."""

SCHEDULE_WINDOW = timedelta(seconds=15)
"""How long a pod may be unschedulable before that counts as failure."""
_NO_DEADLINE = 2**31 - 1


def deployment(obj: Object, now: datetime) -> Readiness:
    """apps Deployment."""
    deadline = count_at(obj, "spec", "progressDeadlineSeconds", default=_NO_DEADLINE)
    progressed = deadline == _NO_DEADLINE  # without a deadline there is no Progressing condition
    progressing = condition(obj, "Progressing")
    if progressing is not None:
        if progressing.get("reason") == "ProgressDeadlineExceeded":
            return failed("ProgressDeadlineExceeded", "Progress deadline exceeded")
        if (progressing.get("status"), progressing.get("reason")) == (
            "True",
            "NewReplicaSetAvailable",
        ):
            progressed = True
    wanted = count_at(obj, "spec", "replicas", default=1)
    replicas = count_at(obj, "status", "replicas")
    updated = count_at(obj, "status", "updatedReplicas")
    ready = count_at(obj, "status", "readyReplicas")
    available = count_at(obj, "status", "availableReplicas")
    if wanted > replicas:
        return in_progress("LessReplicas", f"Replicas: {replicas}/{wanted}")
    if wanted > updated:
        return in_progress("LessUpdated", f"Updated: {updated}/{wanted}")
    if replicas > wanted:
        return in_progress("ExtraReplicas", f"Pending termination: {replicas - wanted}")
    if updated > available:
        return in_progress("LessAvailable", f"Available: {available}/{updated}")
    if wanted > ready:
        return in_progress("LessReady", f"Ready: {ready}/{wanted}")
    if not progressed:
        return in_progress("ReplicaSetNotAvailable", "ReplicaSet not Available")
    if not _is_true(obj, "Available"):
        return in_progress("DeploymentNotAvailable", "Deployment not Available")
    return current(f"Deployment is available. Replicas: {replicas}")


def replica_set(obj: Object, now: datetime) -> Readiness:
    """apps ReplicaSet."""
    if _is_true(obj, "ReplicaFailure"):
        return in_progress("ReplicaFailure", "Replica Failure condition. Check Pods")
    wanted = count_at(obj, "spec", "replicas", default=1)
    replicas = count_at(obj, "status", "replicas")
    for field, reason, word in (
        ("fullyLabeledReplicas", "LessLabelled", "Labelled"),
        ("availableReplicas", "LessAvailable", "Available"),
        ("readyReplicas", "LessReady", "Ready"),
    ):
        have = count_at(obj, "status", field)
        if wanted > have:
            return in_progress(reason, f"{word}: {have}/{wanted}")
    if replicas > wanted:
        return in_progress("ExtraReplicas", f"Pending termination: {replicas - wanted}")
    return current(f"ReplicaSet is available. Replicas: {replicas}")


def stateful_set(obj: Object, now: datetime) -> Readiness:
    """apps StatefulSet."""
    if text_at(obj, "spec", "updateStrategy", "type") == "OnDelete":
        return current("StatefulSet is using the ondelete update strategy")
    wanted = count_at(obj, "spec", "replicas", default=1)
    replicas = count_at(obj, "status", "replicas")
    ready = count_at(obj, "status", "readyReplicas")
    updated = count_at(obj, "status", "updatedReplicas")
    now_running = count_at(obj, "status", "currentReplicas")
    partition = optional_count_at(obj, "spec", "updateStrategy", "rollingUpdate", "partition")
    if wanted > replicas:
        return in_progress("LessReplicas", f"Replicas: {replicas}/{wanted}")
    if wanted > ready:
        return in_progress("LessReady", f"Ready: {ready}/{wanted}")
    if replicas > wanted:
        return in_progress("ExtraReplicas", f"Pending termination: {replicas - wanted}")
    if partition is not None:
        if updated < wanted - partition:
            return in_progress("PartitionRollout", f"Updated: {updated}/{wanted - partition}")
        return current(f"Partition rollout complete. updated: {updated}")
    if wanted > now_running:
        return in_progress("LessCurrent", f"Current: {now_running}/{wanted}")
    if text_at(obj, "status", "currentRevision") != text_at(obj, "status", "updateRevision"):
        return in_progress("RevisionMismatch", "Waiting for updated revision to match current")
    return current(f"All replicas scheduled as expected. Replicas: {replicas}")


def daemon_set(obj: Object, now: datetime) -> Readiness:
    """apps DaemonSet: its controller always writes observedGeneration, so it has to be there."""
    unobserved = _not_observed(obj)
    if unobserved is not None:
        return unobserved
    wanted = optional_count_at(obj, "status", "desiredNumberScheduled")
    if wanted is None:
        return in_progress("NoDesiredNumber", "Missing .status.desiredNumberScheduled")
    for field, reason, word in (
        ("currentNumberScheduled", "LessCurrent", "Current"),
        ("updatedNumberScheduled", "LessUpdated", "Updated"),
        ("numberAvailable", "LessAvailable", "Available"),
        ("numberReady", "LessReady", "Ready"),
    ):
        have = count_at(obj, "status", field)
        if wanted > have:
            return in_progress(reason, f"{word}: {have}/{wanted}")
    return current(f"All replicas scheduled as expected. Replicas: {wanted}")


def persistent_volume_claim(obj: Object, now: datetime) -> Readiness:
    """PersistentVolumeClaim."""
    phase = text_at(obj, "status", "phase", default="unknown")
    if phase != "Bound":
        return in_progress("NotBound", f"PVC is not Bound. phase: {phase}")
    return current("PVC is Bound")


def pod(obj: Object, now: datetime) -> Readiness:
    """Pod."""
    phase = text_at(obj, "status", "phase")
    if phase == "Succeeded":
        return current("Pod has completed successfully")
    if phase == "Failed":
        return current("Pod has completed, but not successfully")
    if phase == "Running":
        return _running_pod(obj)
    if phase == "Pending":
        return _pending_pod(obj, now)
    if not phase:
        return in_progress("PodNotObserved", "Pod phase not available")
    return unknown("UnknownPhase", f"unknown phase {phase}")


def _running_pod(obj: Object) -> Readiness:
    if _is_true(obj, "Ready"):
        return current("Pod is Ready")
    looping = crash_looping(obj)
    if looping:
        return failed(
            "ContainerCrashLooping", f"Containers in CrashLoop state: {','.join(looping)}"
        )
    return in_progress("PodRunningNotReady", "Pod is running but is not Ready")


def _pending_pod(obj: Object, now: datetime) -> Readiness:
    scheduled = condition(obj, "PodScheduled") or {}
    if (scheduled.get("status"), scheduled.get("reason")) == ("False", "Unschedulable"):
        if now - SCHEDULE_WINDOW < _created(obj):
            return in_progress("PodNotScheduled", "Pod has not been scheduled")
        return failed("PodUnschedulable", "Pod could not be scheduled")
    return in_progress("PodPending", "Pod is in the Pending phase")


def crash_looping(obj: Object) -> list[str]:
    """Names of the pod's containers that wait in CrashLoopBackOff."""
    names = []
    for field in ("initContainerStatuses", "containerStatuses"):
        for container in items_at(obj, "status", field):
            if text_at(container, "state", "waiting", "reason") == "CrashLoopBackOff":
                names.append(text_at(container, "name"))
    return names


def pod_disruption_budget(obj: Object, now: datetime) -> Readiness:
    """policy PodDisruptionBudget."""
    generation = generation_at(obj, "metadata", "generation")
    if generation is not None and generation_at(obj, "status", "observedGeneration") is None:
        return in_progress("NoObservedGeneration", "Missing .status.observedGeneration")
    return current("AllowedDisruptions has been computed.")


def job(obj: Object, now: datetime) -> Readiness:
    """batch Job: a started one is current, because a job may run for as long as it likes."""
    parallelism = count_at(obj, "spec", "parallelism", default=1)
    completions = count_at(obj, "spec", "completions", default=parallelism)
    succeeded = count_at(obj, "status", "succeeded")
    active = count_at(obj, "status", "active")
    failures = count_at(obj, "status", "failed")
    if _is_true(obj, "Complete"):
        return current(f"Job Completed. succeeded: {succeeded}/{completions}")
    if _is_true(obj, "Failed"):
        return failed("JobFailed", f"Job Failed. failed: {failures}/{completions}")
    if _is_true(obj, "Suspended") and value_at(obj, "spec", "suspend") is True:
        return current("Job is suspended")
    if not text_at(obj, "status", "startTime"):
        return in_progress("JobNotStarted", "Job not started")
    return current(f"Job in progress. success:{succeeded}, active: {active}, failed: {failures}")


def service(obj: Object, now: datetime) -> Readiness:
    """Service."""
    kind = text_at(obj, "spec", "type", default="ClusterIP")
    if kind == "LoadBalancer" and not text_at(obj, "spec", "clusterIP"):
        return in_progress("NoIPAssigned", f"ClusterIP not set. Service type: {kind}")
    return current("Service is ready")


def custom_resource_definition(obj: Object, now: datetime) -> Readiness:
    """apiextensions.k8s.io CustomResourceDefinition."""
    for found in conditions_of(obj):
        kind, status = found["type"], found.get("status")
        reason, message = words_of(found)
        if kind == "NamesAccepted" and status == "False":
            return failed(reason, message)
        if kind == "Established" and status == "False" and reason != "Installing":
            return failed(reason, message)
        if kind == "Established" and status == "True":
            return current("CRD is established")
    return in_progress("Installing", "Install in progress")


def api_service(obj: Object, now: datetime) -> Readiness:
    """apiregistration.k8s.io APIService."""
    available = condition(obj, "Available")
    if available is None:
        return in_progress("NotObserved", "Availability is not known yet")
    if available.get("status") != "True":
        return in_progress(*words_of(available))
    return current("APIService is available")


def flux_object(obj: Object, now: datetime) -> Readiness | None:
    """Flux's sources and releases: kstatus calls one without a status current, but that one only
    means that its controller has not looked yet."""
    if condition(obj, "Ready") is None:
        return in_progress("NotObserved", "Flux has not looked at it yet")
    return None


def always(obj: Object, now: datetime) -> Readiness:
    """Kinds that are ready by being there."""
    return current("Resource is always ready")


RULES: dict[tuple[str, str], Rule] = {
    ("", "ConfigMap"): always,
    ("", "Secret"): always,
    ("", "PersistentVolumeClaim"): persistent_volume_claim,
    ("", "Pod"): pod,
    ("", "Service"): service,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): custom_resource_definition,
    ("apiregistration.k8s.io", "APIService"): api_service,
    ("apps", "DaemonSet"): daemon_set,
    ("apps", "Deployment"): deployment,
    ("apps", "ReplicaSet"): replica_set,
    ("apps", "StatefulSet"): stateful_set,
    ("batch", "CronJob"): always,
    ("batch", "Job"): job,
    ("helm.toolkit.fluxcd.io", "HelmRelease"): flux_object,
    ("kustomize.toolkit.fluxcd.io", "Kustomization"): flux_object,
    ("policy", "PodDisruptionBudget"): pod_disruption_budget,
    ("source.toolkit.fluxcd.io", "GitRepository"): flux_object,
    ("source.toolkit.fluxcd.io", "OCIRepository"): flux_object,
}
"""By group and kind."""


def _is_true(obj: Object, kind: str) -> bool:
    found = condition(obj, kind)
    return found is not None and found.get("status") == "True"


def _not_observed(obj: Object) -> Readiness | None:
    if generation_at(obj, "metadata", "generation") is None:
        return in_progress("NoGeneration", "Missing .metadata.generation")
    if generation_at(obj, "status", "observedGeneration") is None:
        return in_progress("NoObservedGeneration", "Missing .status.observedGeneration")
    return None


def _created(obj: Object) -> datetime:
    """When it was made; without a date, long ago."""
    try:
        created = datetime.fromisoformat(text_at(obj, "metadata", "creationTimestamp"))
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return created if created.tzinfo else created.replace(tzinfo=UTC)
