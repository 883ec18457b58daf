"""kubectl apply, on the client's and on the server's side, and who owns which field after it."""

from __future__ import annotations

from typing import Any

import yaml

from tests.integration.kube.target import DATA, KubeTarget

MANIFEST = str(DATA / "app.yaml")


def changed(**container: Any) -> str:
    """The sample application with members of its container replaced."""
    documents = list(yaml.safe_load_all((DATA / "app.yaml").read_text()))
    documents[0]["spec"]["template"]["spec"]["containers"][0].update(container)
    return yaml.safe_dump_all(documents)


def ssa(target: KubeTarget, *arguments: str, **more: Any) -> str:
    return target.kubectl("apply", "--server-side", *arguments, **more)


def managers(obj: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """Managed fields by manager and operation, those of status left out."""
    return {
        (entry["manager"], entry["operation"]): entry["fieldsV1"]
        for entry in obj["metadata"]["managedFields"]
        if entry.get("subresource") != "status"
    }


def test_client_side_apply_creates_then_changes_nothing_then_patches(app: KubeTarget) -> None:
    assert app.kubectl("apply", "-f", MANIFEST).count("unchanged") == 3
    assert "deployment.apps/app configured" in app.kubectl(
        "apply", "-f", "-", stdin=changed(env=[{"name": "COLOR", "value": "blue"}])
    )
    container = app.get("deployment", "app")["spec"]["template"]["spec"]["containers"][0]
    assert container["env"] == [{"name": "COLOR", "value": "blue"}]


def test_client_side_apply_removes_what_left_the_manifest(app: KubeTarget) -> None:
    app.kubectl("apply", "-f", "-", stdin=changed(env=None))
    assert "env" not in app.get("deployment", "app")["spec"]["template"]["spec"]["containers"][0]


def test_server_side_apply_owns_exactly_what_it_applies(kube_target: KubeTarget) -> None:
    ssa(kube_target, "-f", MANIFEST, "--field-manager", "first")
    fields = managers(kube_target.get("deployment", "app"))["first", "Apply"]
    containers = fields["f:spec"]["f:template"]["f:spec"]["f:containers"]
    main = containers['k:{"name":"main"}']
    assert main["f:env"] == {'k:{"name":"COLOR"}': {".": {}, "f:name": {}, "f:value": {}}}
    assert 'k:{"containerPort":8080,"protocol":"TCP"}' in main["f:ports"]
    assert fields["f:spec"]["f:selector"] == {}
    assert "f:strategy" not in fields["f:spec"]


def test_repeated_server_side_apply_changes_nothing(kube_target: KubeTarget) -> None:
    ssa(kube_target, "-f", MANIFEST)
    before = kube_target.get("configmap", "app")["metadata"]["resourceVersion"]
    ssa(kube_target, "-f", MANIFEST)
    assert kube_target.get("configmap", "app")["metadata"]["resourceVersion"] == before


def test_another_manager_meets_a_conflict_and_may_force_it(kube_target: KubeTarget) -> None:
    ssa(kube_target, "-f", MANIFEST, "--field-manager", "first")
    document = changed(image="busybox:1.36")
    arguments = ("-f", "-", "--field-manager", "second")
    written = ssa(kube_target, *arguments, stdin=document, fails=True)
    assert "Apply failed with 1 conflict" in written
    assert 'conflict with "first": .spec.template.spec.containers[name="main"].image' in written
    ssa(kube_target, *arguments, "--force-conflicts", stdin=document)
    owners = managers(kube_target.get("deployment", "app"))
    path = ("f:spec", "f:template", "f:spec", "f:containers", 'k:{"name":"main"}')
    first, second = owners["first", "Apply"], owners["second", "Apply"]
    for element in path:
        first, second = first[element], second[element]
    assert "f:image" in second
    assert "f:image" not in first


def test_equal_values_are_shared_between_managers(kube_target: KubeTarget) -> None:
    ssa(kube_target, "-f", MANIFEST, "--field-manager", "first")
    ssa(kube_target, "-f", MANIFEST, "--field-manager", "second")
    owners = managers(kube_target.get("configmap", "app"))
    assert owners["first", "Apply"] == owners["second", "Apply"]
    smaller = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: app}\ndata: {key: value}\n"
    ssa(kube_target, "-f", "-", "--field-manager", "first", stdin=smaller)
    assert kube_target.get("configmap", "app")["data"] == {"key": "value", "other": "value"}
    ssa(kube_target, "-f", "-", "--field-manager", "second", stdin=smaller)
    assert kube_target.get("configmap", "app")["data"] == {"key": "value"}


def test_scaling_by_hand_conflicts_with_the_applied_replicas(kube_target: KubeTarget) -> None:
    ssa(kube_target, "-f", MANIFEST)
    kube_target.kubectl("scale", "deployment/app", "--replicas=3")
    written = ssa(kube_target, "-f", MANIFEST, fails=True)
    assert 'subresource "scale"' in written
    assert ".spec.replicas" in written


def test_dry_run_on_the_server_stores_nothing(kube_target: KubeTarget) -> None:
    written = ssa(kube_target, "-f", MANIFEST, "--dry-run=server")
    assert "serverside-applied (server dry run)" in written
    assert not kube_target.exists("deployment", "app")


def test_diff_shows_what_apply_would_change(app: KubeTarget) -> None:
    assert app.kubectl("diff", "-f", MANIFEST) == ""
    written = app.kubectl("diff", "-f", "-", stdin=changed(image="busybox:1.36"), fails=True)
    assert "-      - image: busybox:1.37" in written or "-        image: busybox:1.37" in written
    assert "busybox:1.36" in written


def test_unknown_fields_are_refused_with_their_path(kube_target: KubeTarget) -> None:
    document = changed(imagee="busybox")
    written = kube_target.kubectl("apply", "-f", "-", stdin=document, fails=True)
    assert 'unknown field "spec.template.spec.containers[0].imagee"' in written


def test_invalid_objects_are_refused_with_causes(kube_target: KubeTarget) -> None:
    document = changed(image=None)
    written = kube_target.kubectl("apply", "-f", "-", stdin=document, fails=True)
    assert 'The Deployment "app" is invalid' in written
    assert "spec.template.spec.containers[0].image: Required value" in written


def test_the_selector_of_a_deployment_is_immutable(app: KubeTarget) -> None:
    patch = '{"spec":{"selector":{"matchLabels":{"app":"else"}}}}'
    written = app.kubectl("patch", "deployment/app", "--type=merge", "-p", patch, fails=True)
    assert "field is immutable" in written
