"""Which controllers a change concerns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from dev.kube.controllers import common, services, simple
from dev.kube.controllers.collector import collect, uids_to_collect
from dev.kube.controllers.common import controller_of, owner_key
from dev.kube.controllers.daemons import reconcile_daemon_set
from dev.kube.controllers.deployments import reconcile_deployment
from dev.kube.controllers.jobs import reconcile_job
from dev.kube.controllers.namespaces import NAMESPACES, reconcile_namespace
from dev.kube.controllers.pods import reconcile_pod
from dev.kube.controllers.replicas import reconcile_replica_set, reconcile_replication_controller
from dev.kube.controllers.stateful import reconcile_stateful_set
from dev.kube.hub import Reconcile, Task
from dev.kube.resources import StorageKey
from dev.kube.selectors import selects
from dev.kube.store import DELETED, Change

if TYPE_CHECKING:
    from dev.kube.cluster import Cluster

_OWN: Final[dict[StorageKey, Reconcile]] = {
    NAMESPACES: reconcile_namespace,
    common.PODS: reconcile_pod,
    common.DEPLOYMENTS: reconcile_deployment,
    common.REPLICA_SETS: reconcile_replica_set,
    common.REPLICATION_CONTROLLERS: reconcile_replication_controller,
    common.STATEFUL_SETS: reconcile_stateful_set,
    common.DAEMON_SETS: reconcile_daemon_set,
    common.JOBS: reconcile_job,
    services.SERVICES: services.reconcile_service,
    services.INGRESSES: services.reconcile_ingress,
    simple.CLAIMS: simple.reconcile_claim,
    simple.AUTOSCALERS: simple.reconcile_autoscaler,
    simple.API_SERVICES: simple.reconcile_api_service,
    simple.BUDGETS: simple.reconcile_budget,
    simple.DEFINITIONS: simple.reconcile_definition,
}
#: Controllers that have something to clear away when their object is gone.
_CLEANED_UP: Final = frozenset({common.PODS, services.SERVICES})
_BY_OWNER_KIND: Final[dict[str, Reconcile]] = {
    "Deployment": reconcile_deployment,
    "ReplicaSet": reconcile_replica_set,
    "ReplicationController": reconcile_replication_controller,
    "StatefulSet": reconcile_stateful_set,
    "DaemonSet": reconcile_daemon_set,
    "Job": reconcile_job,
}


def route(cluster: Cluster, change: Change) -> Iterator[Task]:
    """The reconciliations to queue after a change."""
    obj, key, storage = change.record.obj, change.record.key, change.storage
    own = _OWN.get(storage)
    if own is not None and (change.type != DELETED or storage in _CLEANED_UP):
        yield own, key
    for uid in uids_to_collect(change):
        yield collect, ("", uid)
    owner = controller_of(obj)
    if owner is not None and owner["kind"] in _BY_OWNER_KIND:
        yield _BY_OWNER_KIND[owner["kind"]], owner_key(obj, owner)
    if storage == common.PODS:
        yield from _around_pod(cluster, change)
    elif storage == common.NODES:
        yield from _around_node(cluster)
    if change.type == DELETED:
        yield from _after_deletion(cluster, change)


def _around_node(cluster: Cluster) -> Iterator[Task]:
    for daemon_set in cluster.store.bucket(common.DAEMON_SETS).records:
        yield reconcile_daemon_set, daemon_set
    for key, pod in cluster.store.bucket(common.PODS).records.items():
        if not pod.obj["spec"].get("nodeName"):
            yield reconcile_pod, key


def _around_pod(cluster: Cluster, change: Change) -> Iterator[Task]:
    labels = change.record.obj["metadata"].get("labels") or {}
    namespace = change.record.key[0]
    for record in cluster.store.bucket(services.SERVICES).after(namespace, None):
        selector = record.obj["spec"].get("selector")
        if selector and selector.items() <= labels.items():
            yield services.reconcile_service, record.key
    for record in cluster.store.bucket(simple.BUDGETS).after(namespace, None):
        if selects(record.obj["spec"].get("selector"), labels):
            yield simple.reconcile_budget, record.key
    owner = controller_of(change.record.obj)
    if owner is not None and owner["kind"] == "ReplicaSet":
        # A Recreate rollout waits for the pods of the old set, which the set no longer counts.
        found = cluster.get(common.REPLICA_SETS, (namespace, owner["name"]))
        above = controller_of(found.obj) if found else None
        if above is not None:
            yield reconcile_deployment, (namespace, above["name"])


def _after_deletion(cluster: Cluster, change: Change) -> Iterator[Task]:
    namespace = change.record.key[0]
    if namespace:
        found = cluster.get(NAMESPACES, ("", namespace))
        if found is not None and found.obj["metadata"].get("deletionTimestamp"):
            yield reconcile_namespace, ("", namespace)
    if change.storage == simple.CLAIMS:
        yield simple.release_volume, change.record.key
    group, plural = change.storage
    if group and cluster.get(simple.DEFINITIONS, ("", f"{plural}.{group}")) is not None:
        yield simple.reconcile_definition, ("", f"{plural}.{group}")
