"""CRDs of charts, charts that test themselves, and whose rights an extension has."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import yaml

from agent.reconcile.seam import ReconcileGate
from shared.contract.extension import DriftMode, DriftPolicy
from shared.contract.helm_source import CrdPolicy
from shared.contract.reasons import ReasonCode
from shared.contract.source import Source
from tests.integration.agent.reconcile.conftest import StartEngine, Tools
from tests.integration.agent.reconcile.sources import (
    DEPLOYMENT,
    VALUES,
    Release,
    archive,
    chart_archive,
    config_map,
    inline_chart,
    overlay,
)

MANY = """
{{- range $n := until (int .Values.count) }}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: many-{{ $n }}}
{{- end }}
"""
TEST_HOOK = """
apiVersion: v1
kind: Pod
metadata:
  name: {{ .Release.Name }}-test
  annotations: {"helm.sh/hook": test, "helm.sh/hook-delete-policy": before-hook-creation}
spec:
  restartPolicy: Never
  containers:
    - name: test
      image: busybox:1.37
      command: ["sh", "-c", "{{ .Values.testCommand }}"]
"""


def crd(group: str, *columns: str) -> str:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version: dict[str, Any] = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "additionalPrinterColumns": [
            {"name": name, "type": "string", "jsonPath": f".spec.{name}"} for name in columns
        ],
    }
    return yaml.safe_dump(
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"gadgets.{group}"},
            "spec": {
                "group": group,
                "scope": "Namespaced",
                "names": {"plural": "gadgets", "singular": "gadget", "kind": "Gadget"},
                "versions": [version],
            },
        }
    )


def chart_with_crd(policy: CrdPolicy, text: str) -> Source:
    content = archive(
        {
            "web/Chart.yaml": yaml.safe_dump(
                {"apiVersion": "v2", "name": "web", "version": "1.0.0"}
            ),
            "web/values.yaml": yaml.safe_dump(VALUES),
            "web/crds/gadget.yaml": text,
            "web/templates/deployment.yaml": DEPLOYMENT,
        }
    )
    source = inline_chart(content)
    assert source.helm is not None
    return Source(helm=source.helm.model_copy(update={"crds": policy}))


async def test_crds_follow_their_policy(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    group = f"{namespace}.example.com"
    name = f"gadgets.{group}"

    def columns() -> list[str]:
        version = tools.get("crd", name)["spec"]["versions"][0]
        return [column["name"] for column in version.get("additionalPrinterColumns", [])]

    release = Release("web", namespace, chart_with_crd(CrdPolicy.SKIP, crd(group, "one")))
    async with start_engine() as running:
        running.submit(release.present())
        await running.ready("web")
        assert not tools.exists("crd", name)
        release = release.next(source=chart_with_crd(CrdPolicy.CREATE, crd(group, "one")))
        running.submit(release.present())
        await running.ready("web", 2)
        assert columns() == ["one"]
        release = release.next(source=chart_with_crd(CrdPolicy.CREATE, crd(group, "one", "two")))
        running.submit(release.present())
        await running.ready("web", 3)
        assert columns() == ["one"]
        text = crd(group, "one", "two")
        release = release.next(source=chart_with_crd(CrdPolicy.CREATE_REPLACE, text))
        running.submit(release.present())
        await running.ready("web", 4)
        assert columns() == ["one", "two"]
        running.submit(release.next().absent())
        await running.removed("web", 5)
        assert tools.exists("crd", name)
    tools.kubectl("delete", "crd", name)


@pytest.mark.parametrize("policy", [CrdPolicy.CREATE, CrdPolicy.CREATE_REPLACE])
async def test_a_large_chart_brings_a_kind_and_its_first_object_with_one_upgrade(
    start_engine: StartEngine, tools: Tools, namespace: str, policy: CrdPolicy
) -> None:
    """Large is what could delete more than the cap: that is looked at before helm does anything."""
    group = f"{namespace}.example.com"
    many = {
        "Chart.yaml": yaml.safe_dump({"apiVersion": "v2", "name": "web", "version": "1.0.0"}),
        "values.yaml": "count: 4\n",
        "templates/many.yaml": MANY,
    }
    kind = {
        "crds/gadget.yaml": crd(group, "one"),
        "templates/gadget.yaml": f"apiVersion: {group}/v1\nkind: Gadget\nmetadata: {{name: one}}\n",
    }

    def chart(files: dict[str, str]) -> Source:
        source = inline_chart(archive({f"web/{path}": text for path, text in files.items()}))
        assert source.helm is not None
        return Source(helm=source.helm.model_copy(update={"crds": policy}))

    quiet = DriftPolicy(mode=DriftMode.OFF)
    first = Release("web", namespace, chart(many), drift=quiet)
    async with start_engine(prune_cap=3, max_attempts=1) as running:
        running.submit(first.present())
        await running.ready("web")
        second = first.next(source=chart(many | kind), values={"count": 0})
        running.submit(second.present())
        capped = await running.failed("web", 2)
        assert capped.reason is ReasonCode.PRUNE_CAPPED, capped.message
        assert tools.exists("cm", "many-3", "-n", namespace)
        running.submit(second.next(values={"count": 3}).present())
        await running.ready("web", 3)
        assert tools.exists(f"gadgets.{group}", "one", "-n", namespace)
        assert not tools.exists("cm", "many-3", "-n", namespace)
        running.submit(second.next(generation=4).absent())
        await running.removed("web", 4)
    tools.kubectl("delete", "crd", f"gadgets.{group}")


async def test_a_chart_whose_tests_fail_is_no_success(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    source = inline_chart(chart_archive(test=TEST_HOOK))
    assert source.helm is not None
    tested = Source(helm=source.helm.model_copy(update={"test": True}))
    release = Release("web", namespace, tested, values={"testCommand": "exit 1"})

    def went() -> str:
        """How helm says that the test went."""
        [hook] = json.loads(tools.helm("status", "web", "-n", namespace, "-o", "json"))["hooks"]
        return str(hook["last_run"]["phase"])

    async with start_engine() as running:
        running.submit(release.present())
        failed = await running.failed("web")
        assert failed.reason is ReasonCode.TEST_FAILED
        assert went() == "Failed"
        running.submit(release.next(values={"testCommand": "true"}).present())
        await running.ready("web", 2)
        assert went() == "Succeeded"
        tools.kubectl("delete", "pod", "web-test", "-n", namespace)
        untested = release.next(generation=3, source=inline_chart(chart_archive(test=TEST_HOOK)))
        running.submit(untested.present())
        await running.ready("web", 3)
        assert not tools.exists("pod", "web-test", "-n", namespace), "it was not asked for"


async def test_an_extension_has_its_service_accounts_rights_and_no_more(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": f"grab-{namespace}"},
        "rules": [],
    }
    tools.kubectl("create", "namespace", namespace)
    tools.kubectl("create", "serviceaccount", "deployer", "-n", namespace)
    tools.kubectl(
        "create", "rolebinding", "deployer", "-n", namespace, "--clusterrole=admin",
        f"--serviceaccount={namespace}:deployer",
    )  # fmt: skip
    quiet = DriftPolicy(mode=DriftMode.OFF)
    small = Release("over", namespace, overlay(config_map("one", a="1")), drift=quiet)
    chart = Release("web", namespace, inline_chart(chart_archive()), drift=quiet)
    account = {"service_account": "deployer"}
    async with start_engine(max_attempts=1) as running:
        running.submit(replace(small, **account).present(), replace(chart, **account).present())
        await running.ready("over")
        await running.ready("web")
        grab = small.next(source=overlay(config_map("one", a="1"), role))
        running.submit(replace(grab, **account).present())
        failed = await running.failed("over", 2)
        assert "forbidden" in failed.message
        grab = chart.next(source=inline_chart(chart_archive(grab=json.dumps(role))))
        running.submit(replace(grab, **account).present())
        failed = await running.failed("web", 2)
        assert "forbidden" in failed.message
    assert not tools.exists("clusterrole", f"grab-{namespace}")


async def test_an_agent_with_rights_in_one_namespace_works_there(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    tools.kubectl("create", "namespace", namespace)
    tools.kubectl("create", "serviceaccount", "reconciler", "-n", namespace)
    tools.kubectl(
        "create", "rolebinding", "reconciler", "-n", namespace, "--clusterrole=admin",
        f"--serviceaccount={namespace}:reconciler",
    )  # fmt: skip
    gate = ReconcileGate(allowed_namespaces=frozenset({namespace}))
    policy = DriftPolicy(mode=DriftMode.CORRECT, interval=timedelta(hours=1))
    small = Release("over", namespace, overlay(config_map("one", a="1")), drift=policy)
    chart = Release("web", namespace, inline_chart(chart_archive()), drift=policy)
    async with start_engine(as_user=f"system:serviceaccount:{namespace}:reconciler") as running:
        running.submit(small.present(), chart.present(), gate=gate)
        await running.ready("over")
        await running.until(
            lambda e: e.extension == "web" and e.reason is ReasonCode.NO_DRIFT_DETECTED
        )
        tools.kubectl(
            "patch", "service", "web", "-n", namespace, "--type=merge",
            '-p={"spec": {"selector": {"app": "other"}}}',
        )  # fmt: skip
        await running.until(lambda e: e.reason is ReasonCode.DRIFT_CORRECTED, seconds=10)
        running.submit(small.next().absent(), chart.next().absent(), gate=gate)
        await running.removed("over", 2)
        await running.removed("web", 2)
    assert not tools.exists("deployment", "web", "-n", namespace)
