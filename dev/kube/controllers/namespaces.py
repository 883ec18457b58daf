"""Namespaces: what every new one holds, and the emptying of one that is deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dev.kube.controllers.common import MANAGER, deleting, with_condition
from dev.kube.resources import ObjectKey
from dev.kube.schema import Json
from dev.kube.store import Record

if TYPE_CHECKING:
    from dev.kube.cluster import Cluster

NAMESPACES: Final = ("", "namespaces")
_ACCOUNTS: Final = ("", "serviceaccounts")
_CONFIG_MAPS: Final = ("", "configmaps")
_FINALIZER: Final = "kubernetes"


def reconcile_namespace(cluster: Cluster, key: ObjectKey) -> None:
    """Furnish a namespace, or empty and then remove it."""
    record = cluster.get(NAMESPACES, key)
    if record is None:
        return
    if deleting(record.obj):
        _terminate(cluster, key, record.obj)
    else:
        furnish(cluster, key[1])


def furnish(cluster: Cluster, name: str) -> None:
    """The default ServiceAccount and the cluster's CA, as every namespace has them."""
    if cluster.get(_ACCOUNTS, (name, "default")) is None:
        account = {"metadata": {"name": "default", "namespace": name}}
        cluster.create(_ACCOUNTS, account, MANAGER)
    if cluster.get(_CONFIG_MAPS, (name, "kube-root-ca.crt")) is None:
        config = {
            "metadata": {"name": "kube-root-ca.crt", "namespace": name},
            "data": {"ca.crt": cluster.settings.ca_bundle},
        }
        cluster.create(_CONFIG_MAPS, config, MANAGER)


def _terminate(cluster: Cluster, key: ObjectKey, namespace: Json) -> None:
    left: list[str] = []
    for resource in cluster.registry.namespaced_storages():
        bucket = cluster.store.buckets.get(resource.storage)
        if bucket is None:
            continue
        for record in list(bucket.after(key[1], None)):
            cluster.delete(resource.storage, record.key, grace=None)
        count = sum(1 for _ in bucket.after(key[1], None))
        if count:
            left.append(f"{resource.plural} has {count} resource instances")
    found = cluster.get(NAMESPACES, key)
    if found is not None:
        _conclude(cluster, key, found, left)


def _conclude(cluster: Cluster, key: ObjectKey, record: Record, left: list[str]) -> None:
    """Say what still holds the namespace, or let it go."""
    if left:
        text = f"Some resources are remaining: {', '.join(left)}"
        conditions = with_condition(
            (record.obj.get("status") or {}).get("conditions"),
            "NamespaceContentRemaining", "True", "SomeResourcesRemain", text, cluster.now(),
        )  # fmt: skip
        status = {**record.obj["status"], "conditions": conditions}
        cluster.set_status(NAMESPACES, record, status, MANAGER)
        return
    spec = dict(record.obj.get("spec") or {})
    finalizers = [item for item in spec.get("finalizers") or () if item != _FINALIZER]
    if finalizers or record.obj["metadata"].get("finalizers"):
        new = {**record.obj, "spec": {**spec, "finalizers": finalizers}}
        cluster.rewrite(NAMESPACES, record, new, MANAGER)
        return
    cluster.store.remove(NAMESPACES, key)
