"""Secrets by reference on a cluster: what is made of them, and by which operator's kinds."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import yaml

from shared.contract.extension import DriftMode, DriftPolicy
from shared.contract.reasons import ReasonCode
from shared.contract.secret_reference import (
    AzureCloud,
    SecretObject,
    SecretProvider,
    SecretReference,
)
from tests.integration.agent.reconcile.conftest import StartEngine, Tools
from tests.integration.agent.reconcile.secret_kinds import CSI_DRIVER, EXTERNAL_SECRETS
from tests.integration.agent.reconcile.sources import (
    Release,
    chart_archive,
    config_map,
    inline_chart,
    overlay,
)

TENANT = "8d2f6a5e-4a0c-4d0b-9f61-6a1c2b7f0e11"
SECONDS = 90.0


def azure(name: str = "tls", **changes: Any) -> SecretReference:
    fields = {
        "provider": SecretProvider.AZURE_KEY_VAULT,
        "vault": "kv-edge",
        "tenant_id": TENANT,
        "service_account": "web",
        "objects": (SecretObject(name="wildcard", key="tls.crt"),),
    }
    return SecretReference.model_validate({"name": name, **fields, **changes})


def aws(name: str) -> SecretReference:
    entry = SecretObject(name="prod/db", key="password", property="password")
    return SecretReference(
        name=name,
        provider=SecretProvider.AWS_SECRETS_MANAGER,
        region="eu-west-1",
        service_account="web",
        objects=(entry,),
    )


@contextmanager
def installed(tools: Tools, crds: list[dict[str, Any]]) -> Iterator[None]:
    text = yaml.safe_dump_all(crds)
    tools.kubectl("apply", "-f", "-", stdin=text)
    tools.kubectl("wait", "--for=condition=Established", "-f", "-", "--timeout=30s", stdin=text)
    yield
    tools.kubectl("delete", "-f", "-", "--ignore-not-found", stdin=text)


async def eventually(holds: Callable[[], bool], what: str) -> None:
    deadline = asyncio.get_running_loop().time() + SECONDS
    while not await asyncio.to_thread(holds):
        assert asyncio.get_running_loop().time() < deadline, what
        await asyncio.sleep(0.1)


def web(namespace: str, *secrets: SecretReference) -> Release:
    policy = DriftPolicy(mode=DriftMode.CORRECT)
    return Release("web", namespace, inline_chart(chart_archive()), secrets=secrets, drift=policy)


async def test_a_cluster_with_no_operator_for_secrets_is_told_so_and_nothing_is_applied(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    async with start_engine(max_attempts=1) as running:
        running.submit(web(namespace, azure()).present())
        failed = await running.failed("web")
    assert failed.reason is ReasonCode.SECRET_STORE_MISSING
    assert "Secrets Store CSI driver" in failed.message
    assert "External Secrets" in failed.message
    assert not tools.exists("namespace", namespace)


async def test_a_chart_s_secrets_are_applied_corrected_pruned_and_removed(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    kind = ("secretproviderclass", "-n", namespace)
    with installed(tools, CSI_DRIVER):
        async with start_engine() as running:
            first = web(namespace, azure(), aws("other"))
            running.submit(first.present())
            await running.ready("web")
            made = tools.get(*kind, "tls", "--show-managed-fields")
            assert made["metadata"]["labels"]["arcbridge.io/extension"] == "web"
            assert [m["manager"] for m in made["metadata"]["managedFields"]] == ["arcbridge"]
            parameters = made["spec"]["parameters"]
            assert (parameters["keyvaultName"], parameters["tenantId"]) == ("kv-edge", TENANT)
            [entry] = yaml.safe_load(parameters["objects"])["array"]
            assert json.loads(entry) == {
                "objectName": "wildcard",
                "objectType": "secret",
                "objectAlias": "tls.crt",
            }
            assert made["spec"]["secretObjects"] == [
                {
                    "secretName": "tls",
                    "type": "Opaque",
                    "data": [{"objectName": "tls.crt", "key": "tls.crt"}],
                }
            ]

            other = tools.get(*kind, "other")["spec"]
            assert (other["provider"], other["parameters"]["region"]) == ("aws", "eu-west-1")
            [entry] = yaml.safe_load(other["parameters"]["objects"])
            assert entry == {
                "objectName": "prod/db",
                "objectType": "secretsmanager",
                "jmesPath": [{"path": '"password"', "objectAlias": "password"}],
            }
            assert [each["secretName"] for each in other["secretObjects"]] == ["other"]

            patch = '{"spec": {"parameters": {"keyvaultName": "someone-elses"}}}'
            tools.kubectl("patch", *kind, "tls", "--type=merge", f"-p={patch}")
            corrected = await running.until(lambda e: e.reason is ReasonCode.DRIFT_CORRECTED)
            assert "/spec/parameters/keyvaultName" in corrected.message
            assert tools.get(*kind, "tls")["spec"]["parameters"]["keyvaultName"] == "kv-edge"

            running.submit(first.next(secrets=(azure(),)).present())
            await running.ready("web", 2)
            assert tools.exists(*kind, "tls")
            assert not tools.exists(*kind, "other")

            running.submit(first.next(generation=3, secrets=()).absent())
            await running.removed("web", 3)
            assert not tools.exists(*kind, "tls")
            assert tools.helm("list", "-n", namespace, "-q").strip() == ""


async def test_external_secrets_say_when_the_secret_is_there(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    secret = azure(cloud=AzureCloud.CHINA)
    release = Release("web", namespace, overlay(config_map("one", a="1")), secrets=(secret,))

    def told(kind: str) -> None:
        ready = {"type": "Ready", "status": "True", "reason": "SecretSynced", "message": ""}
        ready["lastTransitionTime"] = "2026-01-01T00:00:00Z"
        patch = json.dumps({"status": {"conditions": [ready]}})
        tools.kubectl(
            "patch", kind, "tls", "-n", namespace, "--subresource=status", "--type=merge",
            f"-p={patch}",
        )  # fmt: skip

    with installed(tools, EXTERNAL_SECRETS):
        async with start_engine() as running:
            running.submit(release.present())
            await eventually(
                lambda: tools.exists("externalsecret", "tls", "-n", namespace), "nothing was made"
            )
            made = tools.get("externalsecret", "tls", "-n", namespace)["spec"]
            assert made["secretStoreRef"] == {"name": "tls", "kind": "SecretStore"}
            assert made["data"] == [
                {"secretKey": "tls.crt", "remoteRef": {"key": "secret/wildcard"}}
            ]
            assert (made["target"]["name"], made["target"]["creationPolicy"]) == ("tls", "Owner")
            store = tools.get("secretstore", "tls", "-n", namespace)["spec"]["provider"]["azurekv"]
            assert store["serviceAccountRef"] == {"name": "web"}
            assert (store["environmentType"], store["useAzureSDK"]) == ("ChinaCloud", True)
            assert store["vaultUrl"] == "https://kv-edge.vault.azure.cn"
            assert "microsoftonline.cn" in store["customCloudConfig"]["activeDirectoryEndpoint"]
            told("secretstore")
            told("externalsecret")
            await running.ready("web")

            running.submit(release.next(secrets=()).present())
            await running.ready("web", 2)
            assert not tools.exists("externalsecret", "tls", "-n", namespace)
            assert not tools.exists("secretstore", "tls", "-n", namespace)


async def test_without_an_identity_for_the_vault_nothing_is_applied(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    with installed(tools, EXTERNAL_SECRETS):
        async with start_engine() as running:
            running.submit(web(namespace, azure(service_account=None)).present())
            failed = await running.failed("web")
    assert failed.reason is ReasonCode.SECRET_STORE_MISSING
    assert "serviceAccount" in failed.message
    assert not tools.exists("namespace", namespace)


async def test_an_object_that_the_overlay_brings_too_is_refused_by_name(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    own = {
        "apiVersion": "secrets-store.csi.x-k8s.io/v1",
        "kind": "SecretProviderClass",
        "metadata": {"name": "tls"},
        "spec": {"provider": "azure"},
    }
    release = Release("web", namespace, overlay(own), secrets=(azure(),))
    with installed(tools, CSI_DRIVER):
        async with start_engine() as running:
            running.submit(release.present())
            failed = await running.failed("web")
    assert failed.reason is ReasonCode.BUILD_FAILED
    assert "rename one of them" in failed.message
