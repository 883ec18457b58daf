"""Custom resources: definition, validation, pruning, defaults, subresources, versions."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator

import pytest

from tests.integration.kube.target import DATA, KubeTarget


@pytest.fixture
def group(kube_target: KubeTarget) -> Iterator[str]:
    """An API group of this test's own that serves Widgets."""
    name = f"t{uuid.uuid4().hex[:10]}.example.com"
    document = (DATA / "widgets.yaml").read_text().replace("GROUP", name)
    kube_target.kubectl("apply", "-f", "-", stdin=document)
    kube_target.kubectl(
        "wait", "--for=condition=Established", f"crd/widgets.{name}", "--timeout=30s"
    )
    try:
        yield name
    finally:
        kube_target.kubectl("delete", f"crd/widgets.{name}", "--ignore-not-found")


def widget(group: str, version: str = "v1", **spec: object) -> str:
    document = {
        "apiVersion": f"{group}/{version}",
        "kind": "Widget",
        "metadata": {"name": "one"},
        "spec": {"size": 3, **spec},
    }
    return json.dumps(document)


def test_defaults_are_filled_and_columns_printed(kube_target: KubeTarget, group: str) -> None:
    kube_target.kubectl("apply", "-f", "-", stdin=widget(group))
    assert kube_target.get(f"widgets.{group}", "one")["spec"] == {"size": 3, "color": "red"}
    table = kube_target.kubectl("get", f"widgets.{group}").splitlines()
    assert table[0].split() == ["NAME", "SIZE", "PHASE"]
    assert table[1].split() == ["one", "3"]


def test_values_outside_the_schema_are_refused(kube_target: KubeTarget, group: str) -> None:
    for spec, expected in (
        ({"size": 30}, "spec.size in body should be less than or equal to 10"),
        ({"color": "pink"}, 'Unsupported value: "pink": supported values: "red", "blue"'),
        ({"size": "3"}, 'spec.size in body must be of type integer: "string"'),
        ({"shape": "round"}, 'unknown field "spec.shape"'),
    ):
        document = widget(group, **spec)
        assert expected in kube_target.kubectl("apply", "-f", "-", stdin=document, fails=True)


def test_unknown_fields_are_pruned_when_not_strict(kube_target: KubeTarget, group: str) -> None:
    document = widget(group, shape="round")
    written = kube_target.kubectl("apply", "--validate=warn", "-f", "-", stdin=document)
    assert 'Warning: unknown field "spec.shape"' in written
    assert "shape" not in kube_target.get(f"widgets.{group}", "one")["spec"]


def test_status_is_a_world_of_its_own(kube_target: KubeTarget, group: str) -> None:
    kube_target.kubectl("apply", "-f", "-", stdin=widget(group))
    name = f"widgets.{group}/one"
    patch = '{"spec":{"size":4},"status":{"phase":"Grown"}}'
    kube_target.kubectl("patch", name, "--type=merge", "--subresource=status", "-p", patch)
    found = kube_target.get(name)
    assert (found["spec"]["size"], found["status"]["phase"]) == (3, "Grown")
    assert found["metadata"]["generation"] == 1
    kube_target.kubectl("patch", name, "--type=merge", "-p", patch.replace("Grown", "Lost"))
    found = kube_target.get(name)
    assert (found["spec"]["size"], found["status"]["phase"]) == (4, "Grown")
    assert found["metadata"]["generation"] == 2


def test_scale_reaches_the_declared_paths(kube_target: KubeTarget, group: str) -> None:
    kube_target.kubectl("apply", "-f", "-", stdin=widget(group))
    kube_target.kubectl("scale", f"widgets.{group}/one", "--replicas=7")
    assert kube_target.get(f"widgets.{group}", "one")["spec"]["replicas"] == 7


def test_lists_with_keys_merge_by_key_under_apply(kube_target: KubeTarget, group: str) -> None:
    for manager, part in (("a", "left"), ("b", "right")):
        document = widget(group, parts=[{"name": part, "weight": 1}])
        kube_target.kubectl(
            "apply", "--server-side", "--field-manager", manager, "-f", "-", stdin=document
        )
    names = [part["name"] for part in kube_target.get(f"widgets.{group}", "one")["spec"]["parts"]]
    assert sorted(names) == ["left", "right"]
    document = widget(group)
    kube_target.kubectl("apply", "--server-side", "--field-manager", "a", "-f", "-", stdin=document)
    parts = kube_target.get(f"widgets.{group}", "one")["spec"]["parts"]
    assert parts == [{"name": "right", "weight": 1}]


def test_strategic_merge_patches_are_refused(kube_target: KubeTarget, group: str) -> None:
    kube_target.kubectl("apply", "-f", "-", stdin=widget(group))
    arguments = ("patch", f"widgets.{group}/one", "--type=strategic", "-p", '{"spec":{"size":1}}')
    assert "not supported" in kube_target.kubectl(*arguments, fails=True)


def test_another_served_version_shows_the_same_object(kube_target: KubeTarget, group: str) -> None:
    kube_target.kubectl("apply", "-f", "-", stdin=widget(group))
    found = kube_target.get(f"widgets.v1beta1.{group}", "one")
    assert found["apiVersion"] == f"{group}/v1beta1"
    assert found["spec"] == {"size": 3, "color": "red"}


def test_objects_go_with_their_definition(kube_target: KubeTarget, group: str) -> None:
    kube_target.kubectl("apply", "-f", "-", stdin=widget(group))
    kube_target.kubectl("delete", f"crd/widgets.{group}", "--timeout=30s")
    written = kube_target.kubectl("get", f"widgets.{group}", fails=True)
    assert "doesn't have a resource type" in written or "could not find" in written
