"""Objects come in the order in which they need each other, and go in the other, as the API server
tells it."""

from __future__ import annotations

import asyncio
from typing import Any

from shared.contract.extension import DriftMode, DriftPolicy
from tests.integration.agent.reconcile.conftest import StartEngine, Tools
from tests.integration.agent.reconcile.sightings import in_order, sightings
from tests.integration.agent.reconcile.sources import Release, overlay

RBAC = "rbac.authorization.k8s.io/v1"
ADMISSION = "admissionregistration.k8s.io/v1"
APIEXTENSIONS = "apiextensions.k8s.io/v1"
ORDER = {
    "Namespace": "v1",
    "CustomResourceDefinition": APIEXTENSIONS,
    "ServiceAccount": "v1",
    "Role": RBAC,
    "RoleBinding": RBAC,
    "Secret": "v1",
    "ConfigMap": "v1",
    "Service": "v1",
    "Deployment": "apps/v1",
    "Widget": "",
    "ValidatingWebhookConfiguration": ADMISSION,
}
"""As they have to come, with their versions; Widget is what the definition defines."""


def objects(namespace: str, group: str) -> list[dict[str, Any]]:
    """One of each kind, in a namespace that is the last of them: in the order of need backwards."""
    inside = f"{namespace}-inside"
    labels = {"app": "web"}
    container = {"name": "main", "image": "nginx:1.27"}
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    definition = {
        "group": group,
        "scope": "Namespaced",
        "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"},
        "versions": [
            {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
        ],
    }
    webhook = {
        "name": f"w.{group}",
        "clientConfig": {"url": "https://127.0.0.1:1/x"},
        "rules": [
            {"apiGroups": [group], "apiVersions": ["v1"], "operations": ["CREATE"],
             "resources": ["gadgets"]}
        ],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }  # fmt: skip
    bodies: dict[str, dict[str, Any]] = {
        "Namespace": {"metadata": {"name": inside}},
        "CustomResourceDefinition": {"metadata": {"name": f"widgets.{group}"}, "spec": definition},
        "RoleBinding": {
            "roleRef": {"apiGroup": RBAC.partition("/")[0], "kind": "Role", "name": "web"},
            "subjects": [{"kind": "ServiceAccount", "name": "web", "namespace": inside}],
        },
        "Role": {"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]},
        "Secret": {"stringData": {"a": "b"}},
        "ConfigMap": {"data": {"a": "b"}},
        "Service": {"spec": {"selector": labels, "ports": [{"port": 80}]}},
        "Deployment": {
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
            }
        },
        "Widget": {"spec": {"size": 1}},
        "ValidatingWebhookConfiguration": {
            "metadata": {"name": f"web.{group}"},
            "webhooks": [webhook],
        },
    }
    versions = {**ORDER, "Widget": f"{group}/v1"}
    return [
        {
            "apiVersion": versions[kind],
            "kind": kind,
            "metadata": {"name": "web", "namespace": inside},
            **bodies.get(kind, {}),
        }
        for kind in reversed(ORDER)
    ]


async def test_what_others_need_comes_first_and_goes_last(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    group = f"{namespace}.example.com"
    quiet = DriftPolicy(mode=DriftMode.OFF)
    release = Release("over", namespace, overlay(*objects(namespace, group)), drift=quiet)
    watched = [(version, kind) for kind, version in ORDER.items() if kind != "Widget"]
    async with start_engine() as running, sightings(tools.kubeconfig, "over", *watched) as seen:
        running.submit(release.present())
        await running.ready("over")
        widget = tools.get(f"widgets.{group}", "web", "-n", f"{namespace}-inside")
        versions = seen.made | {("Widget", "web"): int(widget["metadata"]["resourceVersion"])}
        assert in_order(versions) == list(ORDER)
        definition = ("CustomResourceDefinition", f"widgets.{group}")
        assert seen.last[definition] < versions["Widget", "web"], "it was established by then"

        running.submit(release.next().absent())
        await running.removed("over", 2)
        async with asyncio.timeout(20):
            while len(seen.gone) < len(watched):
                await asyncio.sleep(0.05)
        assert in_order(seen.gone) == [kind for kind in reversed(ORDER) if kind != "Widget"]
    assert not tools.exists("namespace", f"{namespace}-inside")
