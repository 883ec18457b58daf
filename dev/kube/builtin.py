"""The built-in resources this server has.

One line each: group, version, kind, plural, then marks: `n` namespaced, `s` status subresource,
`g` counts generations, `c` scale subresource, `a` in the category `all`; then short names.
"""

from __future__ import annotations

from functools import cache, partial

from dev.kube.builtin_schema import builtin_node
from dev.kube.resources import Resource, ScalePaths

_TABLE = """
-                            v1 Namespace                  namespaces              s     ns
-                            v1 Pod                        pods                    nsga  po
-                            v1 Service                    services                nsa   svc
-                            v1 ConfigMap                  configmaps              n     cm
-                            v1 Secret                     secrets                 n     -
-                            v1 ServiceAccount             serviceaccounts         n     sa
-                            v1 Node                       nodes                   s     no
-                            v1 Event                      events                  n     ev
-                            v1 Endpoints                  endpoints               n     ep
-                            v1 PersistentVolume           persistentvolumes       s     pv
-                            v1 PersistentVolumeClaim      persistentvolumeclaims  ns    pvc
-                            v1 ReplicationController      replicationcontrollers  nsgca rc
-                            v1 LimitRange                 limitranges             n     limits
-                            v1 ResourceQuota              resourcequotas          ns    quota
-                            v1 PodTemplate                podtemplates            n     -
apps                         v1 Deployment                 deployments             nsgca deploy
apps                         v1 ReplicaSet                 replicasets             nsgca rs
apps                         v1 StatefulSet                statefulsets            nsgca sts
apps                         v1 DaemonSet                  daemonsets              nsga  ds
apps                         v1 ControllerRevision         controllerrevisions     n     -
batch                        v1 Job                        jobs                    nsga  -
batch                        v1 CronJob                    cronjobs                nsga  cj
networking.k8s.io            v1 Ingress                    ingresses               nsg   ing
networking.k8s.io            v1 IngressClass               ingressclasses          g     -
networking.k8s.io            v1 NetworkPolicy              networkpolicies         ng    netpol
policy                       v1 PodDisruptionBudget        poddisruptionbudgets    nsg   pdb
rbac.authorization.k8s.io    v1 Role                       roles                   n     -
rbac.authorization.k8s.io    v1 RoleBinding                rolebindings            n     -
rbac.authorization.k8s.io    v1 ClusterRole                clusterroles            -     -
rbac.authorization.k8s.io    v1 ClusterRoleBinding         clusterrolebindings     -     -
autoscaling                  v2 HorizontalPodAutoscaler    horizontalpodautoscalers nsa  hpa
autoscaling                  v1 HorizontalPodAutoscaler    horizontalpodautoscalers nsa  hpa
apiextensions.k8s.io         v1 CustomResourceDefinition   customresourcedefinitions sg  crd,crds
admission~ v1 ValidatingWebhookConfiguration validatingwebhookconfigurations g -
admission~ v1 MutatingWebhookConfiguration mutatingwebhookconfigurations g -
admission~ v1 ValidatingAdmissionPolicy  validatingadmissionpolicies sg -
admission~ v1 ValidatingAdmissionPolicyBinding validatingadmissionpolicybindings g -
apiregistration.k8s.io       v1 APIService                 apiservices             s     -
coordination.k8s.io          v1 Lease                      leases                  n     -
storage.k8s.io               v1 StorageClass               storageclasses          -     sc
storage.k8s.io               v1 VolumeAttachment           volumeattachments       s     -
storage.k8s.io               v1 CSIDriver                  csidrivers              -     -
storage.k8s.io               v1 CSINode                    csinodes                -     -
storage.k8s.io               v1 CSIStorageCapacity         csistoragecapacities    n     -
scheduling.k8s.io            v1 PriorityClass              priorityclasses         g     pc
discovery.k8s.io             v1 EndpointSlice              endpointslices          ng    -
events.k8s.io                v1 Event                      events                  n     ev
certificates.k8s.io          v1 CertificateSigningRequest  certificatesigningrequests s  csr
node.k8s.io                  v1 RuntimeClass               runtimeclasses          -     -
"""

_SELECTABLE = {
    "pods": {
        "spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName",
        "spec.hostNetwork", "status.phase", "status.podIP", "status.nominatedNodeName",
    },
    "events": {
        "involvedObject.kind", "involvedObject.namespace", "involvedObject.name",
        "involvedObject.uid", "involvedObject.apiVersion", "involvedObject.resourceVersion",
        "involvedObject.fieldPath", "reason", "reportingComponent", "source", "type",
        "regarding.kind", "regarding.namespace", "regarding.name", "regarding.uid",
    },
    "secrets": {"type"},
    "namespaces": {"status.phase"},
    "nodes": {"spec.unschedulable"},
    "services": {"spec.clusterIP", "spec.type"},
    "jobs": {"status.successful"},
    "replicasets": {"status.replicas"},
    "replicationcontrollers": {"status.replicas"},
    "certificatesigningrequests": {"spec.signerName"},
}  # fmt: skip

_SUBRESOURCES = {
    "pods": ("eviction", "binding", "ephemeralcontainers"),
    "serviceaccounts": ("token",),
    "namespaces": ("finalize",),
    "certificatesigningrequests": ("approval",),
}

_MODELS = {"Event": "CoreV1Event", "events.k8s.io/Event": "EventsV1Event"}
_ALIASES = {("events.k8s.io", "events"): (("", "events"), "v1")}
_STORED_AT = {"autoscaling": "autoscaling/v2"}


@cache
def builtin_resources() -> tuple[Resource, ...]:
    """Every built-in resource; a preferred version stands before the others of its group."""
    return tuple(_resource(line) for line in _TABLE.strip().splitlines())


def _resource(line: str) -> Resource:
    group, version, kind, plural, marks, short = line.split()
    group = group.strip("-").replace("admission~", "admissionregistration.k8s.io")
    marks = marks.strip("-")
    api_version = f"{group}/{version}" if group else version
    storage, stored_at = _ALIASES.get(
        (group, plural), ((group, plural), _STORED_AT.get(group, api_version))
    )
    model = _MODELS.get(f"{group}/{kind}") or _MODELS.get(kind) or version.upper() + kind
    return Resource(
        group=group,
        version=version,
        plural=plural,
        singular=kind.lower(),
        kind=kind,
        namespaced="n" in marks,
        load_node=partial(builtin_node, model),
        storage=storage,
        storage_version=stored_at,
        short_names=tuple(name for name in short.split(",") if name != "-"),
        categories=("all",) if "a" in marks else (),
        has_status="s" in marks,
        scale=ScalePaths() if "c" in marks else None,
        has_generation="g" in marks,
        selectable=frozenset(_SELECTABLE.get(plural, ())),
        subresources=_SUBRESOURCES.get(plural, ()),
    )
