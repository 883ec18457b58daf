"""Which lists and objects of the built-in kinds merge by key, by value or as a whole.

The facts of Kubernetes' own `+listType`, `+listMapKey`, `+mapType`, `patchStrategy` and
`patchMergeKey` markers, which the client library's models do not carry. A list that is not named
here is atomic for server-side apply and replaced by a strategic merge patch.

Keys are `Model.jsonField`; `*` stands for every model that has the field.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class ListRule(NamedTuple):
    """How one list merges: by server-side apply and by strategic merge patch."""

    keys: tuple[str, ...] = ()
    """Keys of an associative list; empty for a set (`as_set`) or an atomic list."""
    as_set: bool = False
    strategy: tuple[str, ...] = ()
    merge_key: str = ""


def _by(*keys: str, patch: str = "", retain: bool = False) -> ListRule:
    strategy = ("merge", "retainKeys") if retain else ("merge",)
    return ListRule(keys=keys, strategy=strategy, merge_key=patch or keys[0])


def _patch_only(key: str) -> ListRule:
    return ListRule(strategy=("merge",), merge_key=key)


_SET: Final = ListRule(as_set=True, strategy=("merge",))

LISTS: Final[dict[str, ListRule]] = {
    "V1ObjectMeta.ownerReferences": _by("uid"),
    "V1ObjectMeta.finalizers": _SET,
    "V1PodSpec.containers": _by("name"),
    "V1PodSpec.initContainers": _by("name"),
    "V1PodSpec.ephemeralContainers": _by("name"),
    "V1PodSpec.volumes": _by("name", retain=True),
    "V1PodSpec.imagePullSecrets": _by("name"),
    "V1PodSpec.hostAliases": _by("ip"),
    "V1PodSpec.schedulingGates": _by("name"),
    "V1PodSpec.resourceClaims": _by("name", retain=True),
    "V1PodSpec.topologySpreadConstraints": _by("topologyKey", "whenUnsatisfiable"),
    "V1Container.env": _by("name"),
    "V1Container.ports": _by("containerPort", "protocol"),
    "V1Container.volumeMounts": _by("mountPath"),
    "V1Container.volumeDevices": _by("devicePath"),
    "V1EphemeralContainer.env": _by("name"),
    "V1EphemeralContainer.ports": _by("containerPort", "protocol"),
    "V1EphemeralContainer.volumeMounts": _by("mountPath"),
    "V1EphemeralContainer.volumeDevices": _by("devicePath"),
    "V1ResourceRequirements.claims": ListRule(keys=("name",)),
    "V1PodStatus.podIPs": _by("ip"),
    "V1PodStatus.hostIPs": _patch_only("ip"),
    "V1PodStatus.resourceClaimStatuses": _by("name", retain=True),
    "V1ServiceSpec.ports": _by("port", "protocol"),
    "V1ServiceAccount.secrets": _by("name"),
    "V1NodeSpec.podCIDRs": _SET,
    "V1NodeStatus.addresses": _by("type"),
    "V1JobStatus.conditions": _patch_only("type"),
    "V1CSINodeSpec.drivers": _by("name"),
    "V1MutatingWebhookConfiguration.webhooks": _by("name"),
    "V1ValidatingWebhookConfiguration.webhooks": _by("name"),
    "V1MutatingWebhook.matchConditions": _by("name"),
    "V1ValidatingWebhook.matchConditions": _by("name"),
    "V1ValidatingAdmissionPolicySpec.matchConditions": _by("name"),
    "V1ValidatingAdmissionPolicySpec.variables": _by("name"),
    "*.conditions": _by("type"),
}

#: Objects without `+listType=map` conditions although most have them.
ATOMIC_CONDITIONS: Final = frozenset({"V1JobStatus"})

ATOMIC_OBJECTS: Final = frozenset({
    "V1LabelSelector", "V1ObjectReference", "V1LocalObjectReference", "V1SecretReference",
    "V1SecretKeySelector", "V1ConfigMapKeySelector", "V1ObjectFieldSelector", "V1FileKeySelector",
    "V1ResourceFieldSelector", "V1TypedLocalObjectReference", "V1OwnerReference",
    "V1CrossVersionObjectReference", "V1NodeSelector",
    "V1NodeSelectorTerm", "V1TopologySelectorTerm", "V1ScopeSelector", "RbacV1Subject",
    "V1RoleRef", "V1ScopedResourceSelectorRequirement", "V1EndpointAddress", "CoreV1EndpointPort",
    "DiscoveryV1EndpointPort", "V1ParamKind", "V1ParamRef", "V1MatchResources",
    "V1NamedRuleWithOperations", "V1ServiceBackendPort",
    "V1CustomResourceColumnDefinition", "V1TopologySelectorLabelRequirement",
})  # fmt: skip

#: Free maps that merge as a whole (`+mapType=atomic` on a map).
ATOMIC_MAPS: Final = frozenset({
    "V1PodSpec.nodeSelector", "V1ServiceSpec.selector", "V1ReplicationControllerSpec.selector",
    "V1LabelSelector.matchLabels",
})  # fmt: skip

#: Fields typed "object" by the client library that are really an integer or a string.
INT_OR_STRING: Final = frozenset({
    "port", "targetPort", "maxSurge", "maxUnavailable", "minAvailable",
})  # fmt: skip

#: Members that are quantities, which the client library types as strings.
QUANTITIES: Final = frozenset({
    "allocatable", "averageValue", "capacity", "currentAverageValue", "default", "defaultRequest",
    "divisor", "hard", "limits", "max", "maxLimitRequestRatio", "min", "overhead", "requests",
    "sizeLimit", "used",
})  # fmt: skip

#: Defaults that complete the keys of an associative list.
KEY_DEFAULTS: Final = {"protocol": "TCP"}


def list_rule(model: str, field: str) -> ListRule | None:
    """The rule of the list `field` of `model`; None when it is atomic."""
    return LISTS.get(f"{model}.{field}") or LISTS.get(f"*.{field}")
