"""Flux extensions: Flux's own objects are made, and their conditions are the status.

Flux itself does not run here; the test plays its controllers' part on the status.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from agent.reconcile.flux import flux_objects
from shared.contract.flux_source import FluxHelmRelease, FluxKustomization, FluxSource
from shared.contract.reasons import ReasonCode
from shared.contract.source import Source
from tests.integration.agent.reconcile.conftest import StartEngine, Tools
from tests.integration.agent.reconcile.sources import Release

DIGEST = "sha256:" + "a" * 64
KINDS = {
    "source.toolkit.fluxcd.io": ("v1", {"OCIRepository": "ocirepositories"}),
    "helm.toolkit.fluxcd.io": ("v2", {"HelmRelease": "helmreleases"}),
}


def flux(namespace: str) -> Release:
    source = FluxSource(
        url="oci://registry.example/charts/web", digest=DIGEST, helm_release=FluxHelmRelease()
    )
    return Release("web", namespace, Source(flux=source), values={"replicas": 2})


def crd(group: str, version: str, kind: str, plural: str) -> dict[str, Any]:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind},
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                    "subresources": {"status": {}},
                }
            ],
        },
    }


@pytest.fixture
def flux_kinds(tools: Tools) -> Iterator[None]:
    crds = [
        crd(group, version, kind, plural)
        for group, (version, kinds) in KINDS.items()
        for kind, plural in kinds.items()
    ]
    text = yaml.safe_dump_all(crds)
    tools.kubectl("apply", "-f", "-", stdin=text)
    tools.kubectl("wait", "--for=condition=Established", "-f", "-", "--timeout=30s", stdin=text)
    yield
    tools.kubectl("delete", "-f", "-", "--ignore-not-found", stdin=text)


def tell(tools: Tools, namespace: str, kind: str, **condition: str) -> None:
    """What Flux's controller writes."""
    live = tools.get(kind, "web", "-n", namespace)
    status = {
        "observedGeneration": live["metadata"]["generation"],
        "conditions": [{"lastTransitionTime": "2026-01-01T00:00:00Z", "message": "", **condition}],
    }
    patch = json.dumps({"status": status})
    tools.kubectl(
        "patch", kind, "web", "-n", namespace, "--subresource=status", "--type=merge", f"-p={patch}"
    )


async def test_a_cluster_without_flux_is_told_so(start_engine: StartEngine, namespace: str) -> None:
    async with start_engine(max_attempts=1) as running:
        running.submit(flux(namespace).present())
        failed = await running.failed("web")
        assert failed.reason is ReasonCode.FLUX_MISSING
        assert "OCIRepository" in failed.message


@pytest.mark.usefixtures("flux_kinds")
async def test_fluxs_conditions_are_the_status(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    async with start_engine() as running:
        running.submit(flux(namespace).present())
        await running.until(lambda e: e.phase.value == "Applying")
        while not tools.exists("helmrelease", "web", "-n", namespace):
            assert not [e for e in running.events if e.phase.value == "Failed"]
            await asyncio.sleep(0.1)
        assert "Ready" not in {e.phase.value for e in running.events}
        ready = {"type": "Ready", "status": "True", "reason": "Succeeded"}
        tell(tools, namespace, "ocirepository", **ready)
        tell(tools, namespace, "helmrelease", **ready)
        await running.ready("web")
        live = tools.get("helmrelease", "web", "-n", namespace)["spec"]
        assert live["values"] == {"replicas": 2}
        assert live["chartRef"] == {"kind": "OCIRepository", "name": "web"}
        running.events.clear()
        stalled = {"type": "Stalled", "status": "True", "reason": "InstallFailed"}
        tell(tools, namespace, "helmrelease", **stalled | {"message": "it does not install"})
        failed = await running.failed("web")
        assert failed.reason is ReasonCode.HEALTH_CHECK_FAILED
        assert "it does not install" in failed.message


def test_a_git_kustomization_is_pinned_and_kept_in_its_namespace() -> None:
    source = FluxSource(
        url="https://git.example/apps",
        commit="b" * 40,
        kustomization=FluxKustomization(path="deploy/prod"),
    )
    release = Release("web", "shop", Source(flux=source))
    repository, kustomization = flux_objects("web", release.spec, source)
    assert repository["kind"] == "GitRepository"
    assert repository["spec"]["ref"] == {"commit": "b" * 40}
    assert kustomization["spec"]["path"] == "./deploy/prod"
    assert kustomization["spec"]["targetNamespace"] == "shop"
    assert kustomization["spec"]["interval"] == "600s"


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "oci://r.example/x", "helm_release": {}},
        {"url": "https://g.example/x", "kustomization": {}},
        {"url": "http://g.example/x", "commit": "b" * 40, "kustomization": {}},
        {"url": "oci://r.example/x", "digest": DIGEST},
        {"url": "oci://r.example/x", "digest": DIGEST, "kustomization": {}, "helm_release": {}},
        {"url": "https://g.example/x", "commit": "b" * 40, "kustomization": {"path": "../x"}},
    ],
)
def test_what_is_not_pinned_or_not_one_thing_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="FluxSource"):
        FluxSource.model_validate(wrong)
