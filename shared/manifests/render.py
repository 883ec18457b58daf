"""The one manifest that installs an agent: `kubectl apply -f -` of it is the whole installation.

Pure: inputs in, YAML out. Every value goes through a YAML dumper; no text is ever pasted.

The `ArcBridgeCluster` itself travels inside the bootstrap Secret and the agent makes it from there,
once: kubectl looks up every kind before it applies the first object, so a resource cannot stand in
one file with the CRD that defines it.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import yaml

from shared.manifests.access import LABELS, access
from shared.manifests.install import BOOTSTRAP_SECRET, AgentInstall
from shared.manifests.workload import deployment, network_policy

Object = dict[str, Any]
CLUSTER_KEY = "cluster.json"
TOKEN_KEY = "token"  # noqa: S105 - the name of an entry
PIN_KEY = "ca-pin"


def render(install: AgentInstall) -> str:
    """The manifest, as a stream of YAML documents."""
    return yaml.safe_dump_all(objects(install), sort_keys=False, width=4096)


def objects(install: AgentInstall) -> list[Object]:
    """The manifest's objects, in the order in which they are to be applied."""
    found = [_namespace(install), crd(), *access(install), bootstrap_secret(install)]
    if not install.external:
        found += [network_policy(install), deployment(install)]
    return [without_aliases(item) for item in found]


def crd() -> Object:
    """The CustomResourceDefinition of `ArcBridgeCluster`."""
    text = (files("shared.manifests") / "crd.yaml").read_text(encoding="utf-8")
    definition: Object = yaml.safe_load(text)
    return definition


def cluster(install: AgentInstall) -> Object:
    """The `ArcBridgeCluster`."""
    spec: Object = {
        "controlPlaneUrl": install.control_plane_url,
        "caPin": install.ca_pin,
        "clusterName": install.cluster_name,
        "tenant": install.tenant,
        "bootstrapSecret": BOOTSTRAP_SECRET,
    }
    if install.labels:
        spec["labels"] = dict(install.labels)
    if install.allowed_namespaces is not None:
        spec["allowedNamespaces"] = list(install.allowed_namespaces)
    return {
        "apiVersion": "arcbridge.io/v1",
        "kind": "ArcBridgeCluster",
        "metadata": {"name": install.cluster_name, "labels": LABELS},
        "spec": spec,
    }


def bootstrap_secret(install: AgentInstall) -> Object:
    """What the agent starts from; it takes the entries away once they are used."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": BOOTSTRAP_SECRET,
            "namespace": install.namespace,
            "labels": LABELS,
        },
        "type": "Opaque",
        "stringData": {
            TOKEN_KEY: install.token,
            PIN_KEY: install.ca_pin,
            CLUSTER_KEY: json.dumps(cluster(install), sort_keys=True),
        },
    }


def _namespace(install: AgentInstall) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": install.namespace,
            "labels": {**LABELS, "pod-security.kubernetes.io/enforce": "restricted"},
        },
    }


def without_aliases(value: Any) -> Any:
    """A copy that shares nothing with itself: YAML would write shared parts as aliases."""
    if isinstance(value, dict):
        return {key: without_aliases(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_aliases(item) for item in value]
    return value
