from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.cluster.resource import ClusterResource, ClusterSpec
from shared.manifests.access import access, cluster_rules, event_rules, namespace_rules
from shared.manifests.install import AgentInstall
from shared.manifests.render import bootstrap_secret, crd, objects, render

PIN = f"sha256:{'0' * 64}"


def install(**changes: Any) -> AgentInstall:
    values: dict[str, Any] = {
        "cluster_name": "eu-1",
        "tenant": "demo",
        "control_plane_url": "https://arcbridge.example.org",
        "ca_pin": PIN,
        "token": "abt_demo.1.2",
        "image": "arcbridge/agent:0.1.0",
    }
    return AgentInstall(**{**values, **changes})


def kinds(found: list[dict[str, Any]]) -> list[str]:
    return [item["kind"] for item in found]


def container(found: list[dict[str, Any]]) -> dict[str, Any]:
    pod = found[-1]["spec"]["template"]["spec"]
    result: dict[str, Any] = pod["containers"][0]
    return result


def test_the_yaml_reads_back_as_the_objects() -> None:
    assert list(yaml.safe_load_all(render(install()))) == objects(install())


def test_the_yaml_has_no_aliases() -> None:
    text = render(install())
    assert "&id" not in text
    assert "*id" not in text


def test_namespace_and_definition_come_before_what_needs_them() -> None:
    found = kinds(objects(install()))
    assert found[:2] == ["Namespace", "CustomResourceDefinition"]
    assert found[-1] == "Deployment"


def test_an_external_agent_gets_no_deployment() -> None:
    found = kinds(objects(install(external=True)))
    assert "Deployment" not in found
    assert "NetworkPolicy" not in found


@settings(deadline=None, max_examples=30)
@given(st.text(), st.dictionaries(st.text(min_size=1), st.text()))
def test_no_value_can_break_out_of_its_place(token: str, labels: dict[str, str]) -> None:
    asked = install(token=token, labels=labels)
    [secret] = [o for o in yaml.safe_load_all(render(asked)) if o["kind"] == "Secret"]
    assert secret["stringData"]["token"] == token
    cluster = json.loads(secret["stringData"]["cluster.json"])
    assert cluster["spec"].get("labels", {}) == labels


def test_the_agent_understands_the_cluster_it_is_given() -> None:
    asked = install(labels={"env": "prod"}, allowed_namespaces=("shop",))
    cluster = json.loads(bootstrap_secret(asked)["stringData"]["cluster.json"])
    read = ClusterResource.read(cluster)
    assert read.spec.cluster_name == "eu-1"
    assert read.spec.labels == {"env": "prod"}
    assert read.spec.gate().allowed_namespaces == {"shop"}


def test_every_field_of_the_definition_is_one_the_agent_knows() -> None:
    schema = crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    known = {field.alias for field in ClusterSpec.model_fields.values()}
    assert set(schema["properties"]) == known


@pytest.mark.parametrize("rules", [cluster_rules(), namespace_rules(), event_rules()])
def test_no_role_holds_a_wildcard_or_can_raise_itself(rules: list[dict[str, Any]]) -> None:
    for rule in rules:
        for entries in rule.values():
            assert "*" not in entries
        assert not {"escalate", "bind"} & set(rule["verbs"])


def test_secrets_are_read_by_name_only() -> None:
    reading = [
        rule
        for rule in (*cluster_rules(), *namespace_rules())
        if "secrets" in rule["resources"] and rule["verbs"] != ["create"]
    ]
    assert reading
    assert all(rule.get("resourceNames") for rule in reading)


def test_exactly_one_account_may_be_impersonated() -> None:
    [rule] = [r for r in namespace_rules() if "impersonate" in r["verbs"]]
    assert rule["resourceNames"] == ["arcbridge-reconciler"]


def test_allowed_namespaces_bind_the_reconciler_there_only() -> None:
    found = access(install(allowed_namespaces=("shop", "web")))
    bindings = [o for o in found if o["metadata"]["name"] == "arcbridge-reconciler"]
    places = {o["metadata"].get("namespace") for o in bindings if "roleRef" in o}
    assert places == {"shop", "web"}
    assert all(o.get("roleRef", {}).get("name") != "cluster-admin" for o in found)


def test_the_agents_pod_is_locked_down() -> None:
    found = container(objects(install()))
    context = found["securityContext"]
    assert context["readOnlyRootFilesystem"] is True
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert found["resources"]["requests"]["memory"] == "128Mi"


def test_the_token_is_in_no_representation() -> None:
    assert "abt_demo" not in repr(install())
