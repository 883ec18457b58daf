"""Objects as manifests hold them: reading, naming, ordering and labelling. Pure."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

from agent.go_yaml import YamlUnreadable, read_documents

Object = dict[str, Any]

EXTENSION_LABEL = "arcbridge.io/extension"
"""On every object of an extension; its value is the extension's name."""
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
PRUNE_ANNOTATION = "arcbridge.io/prune"
"""`disabled` keeps an object when the extension no longer has it."""
_HELM_POLICY_ANNOTATION = "helm.sh/resource-policy"
"""Helm's own word for that: `keep`."""
HELM_NAME_ANNOTATION = "meta.helm.sh/release-name"
"""The release that helm made the object for."""
HELM_NAMESPACE_ANNOTATION = "meta.helm.sh/release-namespace"

_ORDER = (
    "Namespace",
    "CustomResourceDefinition",
    "PriorityClass",
    "StorageClass",
    "RuntimeClass",
    "IngressClass",
    "ServiceAccount",
    "ClusterRole",
    "Role",
    "ClusterRoleBinding",
    "RoleBinding",
    "ResourceQuota",
    "LimitRange",
    "NetworkPolicy",
    "PodDisruptionBudget",
    "Secret",
    "SecretProviderClass",
    "SecretStore",
    "ExternalSecret",
    "ConfigMap",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Service",
    "DaemonSet",
    "Pod",
    "ReplicationController",
    "ReplicaSet",
    "Deployment",
    "StatefulSet",
    "Job",
    "CronJob",
    "HorizontalPodAutoscaler",
    "Ingress",
    "APIService",
)
_LAST = (
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
)
_RANK = {kind: rank for rank, kind in enumerate(_ORDER)}
_CUSTOM_RANK = len(_ORDER)
_RANK |= {kind: _CUSTOM_RANK + 1 + rank for rank, kind in enumerate(_LAST)}

ESTABLISHED_FIRST = frozenset({"Namespace", "CustomResourceDefinition"})
"""Kinds that everything after them needs to be ready."""


@dataclass(frozen=True, order=True)
class ObjectKey:
    """Which object, whatever its version."""

    group: str
    kind: str
    namespace: str
    """Empty for a cluster-scoped object."""
    name: str

    def __str__(self) -> str:
        """`Deployment shop/web`."""
        place = f"{self.namespace}/" if self.namespace else ""
        return f"{self.kind} {place}{self.name}"


@dataclass(frozen=True)
class ObjectRef:
    """An object and the version it was applied with."""

    api_version: str
    kind: str
    namespace: str
    name: str

    @property
    def key(self) -> ObjectKey:
        """The same object, whatever its version."""
        return ObjectKey(self.api_version.rpartition("/")[0], self.kind, self.namespace, self.name)


class ManifestError(ValueError):
    """A manifest that is not a list of Kubernetes objects."""


def parse_manifest(text: str) -> list[Object]:
    """The objects of a YAML stream, in its order; a `List` is taken apart; empty ones are left out.

    Raises ManifestError when it is not YAML, or something in it is not an object with apiVersion,
    kind and metadata.name.
    """
    try:
        documents = read_documents(text)
    except YamlUnreadable as error:
        raise ManifestError(f"the manifest is not YAML: {error}") from error
    found: list[Object] = []
    for document in documents:
        if not document:
            continue
        if _is_list(document):
            found += [_checked(item) for item in document["items"]]
        else:
            found.append(_checked(document))
    return found


def _is_list(document: Any) -> bool:
    return (
        isinstance(document, dict)
        and str(document.get("kind", "")).endswith("List")
        and isinstance(document.get("items"), list)
    )


def _checked(document: Any) -> Object:
    if not isinstance(document, dict):
        raise ManifestError(f"the manifest holds a {type(document).__name__} among its objects")
    meta = document.get("metadata")
    if not isinstance(meta, dict) or not meta.get("name"):
        raise ManifestError(f"a {document.get('kind', 'nameless object')} has no metadata.name")
    if not document.get("apiVersion") or not document.get("kind"):
        raise ManifestError(f"the object {meta['name']} has no apiVersion or kind")
    texts = (document["apiVersion"], document["kind"], meta["name"], meta.get("namespace") or "")
    maps = (meta.get("labels") or {}, meta.get("annotations") or {})
    if not all(isinstance(text, str) for text in texts) or not all(
        isinstance(entries, dict) for entries in maps
    ):
        raise ManifestError(
            f"{document['kind']} {meta['name']}: apiVersion, kind, name and namespace have to be "
            "text, labels and annotations maps"
        )
    return document


def ref_of(obj: Object) -> ObjectRef:
    """The reference of an object."""
    meta = obj["metadata"]
    return ObjectRef(
        str(obj["apiVersion"]), str(obj["kind"]), str(meta.get("namespace") or ""), meta["name"]
    )


def key_of(obj: Object) -> ObjectKey:
    """The key of an object."""
    return ref_of(obj).key


def apply_rank(kind: str) -> int:
    """Where a kind stands in the order of applying; deleting goes the other way round.

    Namespaces and CRDs, then what others refer to, workloads, custom resources, and last what
    could refuse the rest: admission webhooks and policies.
    """
    return _RANK.get(kind, _CUSTOM_RANK)


def in_apply_order(objects: list[Object]) -> list[Object]:
    """Sorted by rank; objects of one rank keep their order."""
    return sorted(objects, key=lambda obj: apply_rank(str(obj["kind"])))


def placed(obj: Object, namespace: str, *, namespaced: bool) -> Object:
    """A copy with its namespace filled in, or taken out where the kind has none."""
    copied = copy.deepcopy(obj)
    meta = copied["metadata"]
    if not namespaced:
        meta.pop("namespace", None)
    elif not meta.get("namespace"):
        meta["namespace"] = namespace
    return copied


def labelled(obj: Object, labels: dict[str, str]) -> Object:
    """A copy with these labels added; its own stay, but for the same keys."""
    copied = copy.deepcopy(obj)
    meta = copied["metadata"]
    meta["labels"] = {**(meta.get("labels") or {}), **labels}
    return copied


def labels_of(obj: Object) -> dict[str, Any]:
    """Its labels, empty where it has none."""
    found: dict[str, Any] = obj.get("metadata", {}).get("labels") or {}
    return found


def prune_disabled(obj: Object) -> bool:
    """True for an object that asks to be kept when its extension no longer has it."""
    annotations = obj.get("metadata", {}).get("annotations") or {}
    return (
        annotations.get(PRUNE_ANNOTATION) == "disabled"
        or annotations.get(_HELM_POLICY_ANNOTATION) == "keep"
    )
