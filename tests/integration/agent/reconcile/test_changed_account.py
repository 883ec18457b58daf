"""What another account had applied is taken away in its name, or it is said what right lacks."""

from __future__ import annotations

import json
from dataclasses import replace

from shared.contract.extension import DriftMode, DriftPolicy
from shared.contract.reasons import ReasonCode
from tests.integration.agent.reconcile.conftest import StartEngine, Tools
from tests.integration.agent.reconcile.sources import (
    Release,
    chart_archive,
    config_map,
    inline_chart,
    overlay,
)

QUIET = DriftPolicy(mode=DriftMode.OFF)
EXTRA = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: extra}\n"


def account(tools: Tools, namespace: str, name: str, *verbs: str) -> None:
    """A service account with all rights in its namespace, or with these verbs only."""
    tools.kubectl("create", "serviceaccount", name, "-n", namespace)
    role = "--clusterrole=admin"
    if verbs:
        rules = [{"apiGroups": ["*"], "resources": ["*"], "verbs": list(verbs)}]
        body = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "rules": rules}
        body["metadata"] = {"name": name, "namespace": namespace}
        tools.kubectl("apply", "-f", "-", stdin=json.dumps(body))
        role = f"--role={name}"
    tools.kubectl(
        "create", "rolebinding", name, "-n", namespace, role,
        f"--serviceaccount={namespace}:{name}",
    )  # fmt: skip


async def test_an_overlay_that_moves_is_pruned_by_the_account_that_had_applied_it(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    other = f"{namespace}-b"
    for place in (namespace, other):
        tools.kubectl("create", "namespace", place)
        account(tools, place, "deployer")
    first = replace(
        Release("over", namespace, overlay(config_map("one", a="1")), drift=QUIET),
        service_account="deployer",
    )
    async with start_engine(max_attempts=1) as running:
        running.submit(first.present())
        await running.ready("over")
        moved = first.next(namespace=other)
        running.submit(moved.present())
        await running.ready("over", 2)
        assert not tools.exists("cm", "one", "-n", namespace)
        assert tools.exists("cm", "one", "-n", other)

        tools.kubectl("delete", "rolebinding", "deployer", "-n", other)
        running.submit(moved.next(namespace=namespace, generation=3).present())
        failed = await running.failed("over", 3)
        assert failed.reason is ReasonCode.PRUNE_FAILED
        for who in (other, namespace):
            assert f'"system:serviceaccount:{who}:deployer" cannot' in failed.message
        assert "give one of the two the right" in failed.message
        assert tools.exists("cm", "one", "-n", other), "and it is not forgotten:"
        account(tools, other, "again")
        tools.kubectl(
            "create", "rolebinding", "deployer", "-n", other, "--clusterrole=admin",
            f"--serviceaccount={other}:deployer",
        )  # fmt: skip
        running.submit(moved.next(namespace=namespace, generation=4).present())
        await running.ready("over", 4)
        assert not tools.exists("cm", "one", "-n", other)

        tools.kubectl("delete", "namespace", namespace)
        running.submit(moved.next(namespace=other, generation=5).present())
        await running.ready("over", 5)
    tools.kubectl("delete", "namespace", other, "--wait=false")


async def test_what_a_weaker_account_may_not_delete_is_deleted_by_the_one_before(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    tools.kubectl("create", "namespace", namespace)
    account(tools, namespace, "wide")
    account(tools, namespace, "weak", "get", "list", "watch", "create", "update", "patch")
    two = overlay(config_map("one", a="1"), config_map("two", a="1"))
    over = replace(Release("over", namespace, two, drift=QUIET), service_account="wide")
    chart = inline_chart(chart_archive(extra=EXTRA))
    web = replace(Release("web", namespace, chart, drift=QUIET), service_account="wide")
    async with start_engine(max_attempts=1) as running:
        running.submit(over.present(), web.present())
        await running.ready("over")
        await running.ready("web")
        fewer = over.next(source=overlay(config_map("one", a="1")), service_account="weak")
        smaller = web.next(source=inline_chart(chart_archive()), service_account="weak")
        running.submit(fewer.present(), smaller.present())
        await running.ready("over", 2)
        assert not tools.exists("cm", "two", "-n", namespace)
        failed = await running.failed("web", 2)
        weak = f"system:serviceaccount:{namespace}:weak"
        assert weak in failed.message, "helm works in one name alone, and says what it may not"
        assert "cannot delete resource" in failed.message
        assert tools.exists("cm", "extra", "-n", namespace)
        running.submit(fewer.present(), smaller.next(service_account="wide").present())
        await running.ready("web", 3)
        assert not tools.exists("cm", "extra", "-n", namespace)


async def test_a_chart_that_moves_is_uninstalled_by_the_account_that_had_installed_it(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    other = f"{namespace}-b"
    for place in (namespace, other):
        tools.kubectl("create", "namespace", place)
        account(tools, place, "deployer")
    source = inline_chart(chart_archive())
    first = replace(Release("web", namespace, source, drift=QUIET), service_account="deployer")
    async with start_engine(max_attempts=1) as running:
        running.submit(first.present())
        await running.ready("web")
        running.submit(first.next(namespace=other).present())
        await running.ready("web", 2)
    assert not tools.exists("deployment", "web", "-n", namespace)
    assert not tools.exists("secret", "-l", "owner=helm", "-n", namespace)
    tools.kubectl("delete", "namespace", other, "--wait=false")
