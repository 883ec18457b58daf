"""Finalizers, owners, namespaces: what deletion leaves behind, and when."""

from __future__ import annotations

import json
import uuid
from typing import Any

from tests.integration.kube.target import KubeTarget


def config_map(name: str, **metadata: Any) -> str:
    document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}}
    return json.dumps(document)


def make(target: KubeTarget, name: str, **metadata: Any) -> dict[str, Any]:
    target.kubectl("create", "-f", "-", stdin=config_map(name, **metadata))
    return target.get("configmap", name)


def owner(obj: dict[str, Any], *, blocks: bool = False) -> dict[str, Any]:
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "blockOwnerDeletion": blocks}
    return {**reference, "name": obj["metadata"]["name"], "uid": obj["metadata"]["uid"]}


def test_finalizers_hold_an_object_until_they_are_gone(kube_target: KubeTarget) -> None:
    make(kube_target, "held", finalizers=["example.com/hold"])
    kube_target.kubectl("delete", "configmap/held", "--wait=false")
    assert kube_target.get("configmap", "held")["metadata"]["deletionTimestamp"]
    patch = '{"metadata":{"finalizers":null}}'
    kube_target.kubectl("patch", "configmap/held", "--type=merge", "-p", patch)
    assert not kube_target.exists("configmap", "held")


def test_dependents_follow_their_owner(kube_target: KubeTarget) -> None:
    parent = make(kube_target, "parent")
    child = make(kube_target, "child", ownerReferences=[owner(parent)])
    make(kube_target, "grandchild", ownerReferences=[owner(child)])
    kube_target.kubectl("delete", "configmap/parent")
    kube_target.eventually(lambda: not kube_target.exists("configmap", "grandchild"))


def test_dependents_with_another_owner_stay(kube_target: KubeTarget) -> None:
    first, second = make(kube_target, "first"), make(kube_target, "second")
    make(kube_target, "child", ownerReferences=[owner(first), owner(second)])
    kube_target.kubectl("delete", "configmap/first")

    def owners() -> list[str]:
        metadata = kube_target.get("configmap", "child")["metadata"]
        return [item["name"] for item in metadata["ownerReferences"]]

    kube_target.eventually(lambda: owners() == ["second"])


def test_foreground_deletion_waits_for_the_dependents(kube_target: KubeTarget) -> None:
    parent = make(kube_target, "parent")
    reference = owner(parent, blocks=True)
    make(kube_target, "child", ownerReferences=[reference], finalizers=["example.com/hold"])
    kube_target.kubectl("delete", "configmap/parent", "--cascade=foreground", "--wait=false")
    kube_target.eventually(
        lambda: "deletionTimestamp" in kube_target.get("configmap", "child")["metadata"]
    )
    assert kube_target.exists("configmap", "parent")
    patch = '[{"op":"remove","path":"/metadata/finalizers/0"}]'
    kube_target.kubectl("patch", "configmap/child", "--type=json", "-p", patch)
    kube_target.eventually(lambda: not kube_target.exists("configmap", "parent"))


def test_orphans_lose_their_owner_and_live(app: KubeTarget) -> None:
    app.kubectl("delete", "deployment/app", "--cascade=orphan")
    sets = app.get("replicaset", "-l", "app=app")["items"]
    assert len(sets) == 1
    app.eventually(
        lambda: "ownerReferences" not in app.get("rs", "-l", "app=app")["items"][0]["metadata"]
    )
    assert app.exists("pods", "-l", "app=app")


def test_a_namespace_empties_itself_and_goes(kube_target: KubeTarget) -> None:
    name = f"arcbridge-test-{uuid.uuid4().hex[:10]}"
    inner = kube_target.in_namespace(name)
    inner.kubectl("create", "namespace", name)
    inner.eventually(lambda: inner.exists("serviceaccount", "default"))
    inner.eventually(lambda: inner.exists("configmap", "kube-root-ca.crt"))
    make(inner, "held", finalizers=["example.com/hold"])
    make(inner, "free")
    inner.kubectl("delete", "namespace", name, "--wait=false")
    inner.eventually(lambda: not inner.exists("configmap", "free"))
    assert inner.get("namespace", name)["status"]["phase"] == "Terminating"
    written = inner.kubectl("create", "configmap", "late", fails=True)
    assert "because it is being terminated" in written
    patch = '{"metadata":{"finalizers":null}}'
    inner.kubectl("patch", "configmap/held", "--type=merge", "-p", patch)
    inner.eventually(lambda: not inner.exists("namespace", name))
