"""The agent's Deployment and its NetworkPolicy. Pure: plain objects out."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from shared.manifests.access import LABELS
from shared.manifests.install import AGENT, HTTP_PORT, RECONCILER, AgentInstall

Object = dict[str, Any]
STATE_DIR = "/var/lib/arcbridge"
_SELECTOR = {"app.kubernetes.io/name": AGENT}
_API_SERVER_PORTS = (443, 6443)
_USER = 65532
_STATE_SIZE = "1536Mi"
"""1 GiB, and room for two Git fetches of the agent's `git_limit_mib` each."""


def deployment(install: AgentInstall) -> Object:
    """Two replicas, one of which leads: non-root, nothing writable but its own state."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(install),
        "spec": {
            "replicas": install.replicas,
            "selector": {"matchLabels": _SELECTOR},
            "template": {
                "metadata": {"labels": {**LABELS, **_SELECTOR}},
                "spec": _pod(install),
            },
        },
    }


def network_policy(install: AgentInstall) -> Object:
    """In: probes and metrics. Out: names, the API server, the control plane, https."""
    ports = sorted({*_API_SERVER_PORTS, _port(install.control_plane_url), install.relay_port})
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": _metadata(install),
        "spec": {
            "podSelector": {"matchLabels": _SELECTOR},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"ports": [{"port": HTTP_PORT, "protocol": "TCP"}]}],
            "egress": [
                {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]},
                {"ports": [{"port": port, "protocol": "TCP"} for port in ports]},
            ],
        },
    }


def _pod(install: AgentInstall) -> Object:
    return {
        "serviceAccountName": AGENT,
        "automountServiceAccountToken": True,
        "terminationGracePeriodSeconds": 30,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "fsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "affinity": {
            "podAntiAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {
                        "weight": 100,
                        "podAffinityTerm": {
                            "topologyKey": "kubernetes.io/hostname",
                            "labelSelector": {"matchLabels": _SELECTOR},
                        },
                    }
                ]
            }
        },
        "containers": [_container(install)],
        "volumes": [
            {"name": "state", "emptyDir": {"sizeLimit": _STATE_SIZE}},
            {"name": "tmp", "emptyDir": {"sizeLimit": "512Mi"}},
        ],
    }


def _container(install: AgentInstall) -> Object:
    return {
        "name": "agent",
        "image": install.image,
        "ports": [{"name": "http", "containerPort": HTTP_PORT}],
        "env": [
            {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {
                "name": "ARCBRIDGE_AGENT_NAMESPACE",
                "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}},
            },
            {"name": "ARCBRIDGE_AGENT_CLUSTER", "value": install.cluster_name},
            {"name": "ARCBRIDGE_AGENT_STATE_DIR", "value": STATE_DIR},
            {"name": "ARCBRIDGE_AGENT_HTTP_PORT", "value": str(HTTP_PORT)},
            {
                "name": "ARCBRIDGE_AGENT_IMPERSONATE",
                "value": f"system:serviceaccount:{install.namespace}:{RECONCILER}",
            },
            {"name": "HOME", "value": "/tmp"},  # noqa: S108 - a volume of the pod's own
        ],
        "livenessProbe": _probe("/livez", initialDelaySeconds=10, periodSeconds=10),
        "readinessProbe": _probe("/readyz", periodSeconds=5),
        "resources": {
            "requests": {"cpu": "50m", "memory": "128Mi"},
            "limits": {"memory": "512Mi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "state", "mountPath": STATE_DIR},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - a volume of the pod's own
        ],
    }


def _probe(path: str, **times: int) -> Object:
    return {"httpGet": {"path": path, "port": "http"}, **times}


def _metadata(install: AgentInstall) -> Object:
    return {"name": AGENT, "namespace": install.namespace, "labels": {**LABELS, **_SELECTOR}}


def _port(url: str) -> int:
    parts = urlsplit(url)
    return parts.port or (443 if parts.scheme == "https" else 80)
