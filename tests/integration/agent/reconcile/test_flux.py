"""Flux extensions: Flux's own objects are made, and their conditions are the status.

Flux itself does not run here; the test plays its controllers' part on the status.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import yaml

from agent.reconcile.flux import flux_objects
from shared.contract.extension import Readiness
from shared.contract.flux_source import FluxHelmRelease, FluxKustomization, FluxSource
from shared.contract.reasons import ReasonCode
from shared.contract.source import Source
from tests.integration.agent.reconcile.conftest import RunningEngine, StartEngine, Tools
from tests.integration.agent.reconcile.sources import Release

DIGEST, COMMIT = "sha256:" + "a" * 64, "b" * 40
SOURCES: dict[str, dict[str, Any]] = {
    "OCIRepository": {"url": "oci://registry.example/charts/web", "digest": DIGEST},
    "GitRepository": {"url": "https://git.example/apps", "commit": COMMIT},
}
RELEASES: dict[str, dict[str, Any]] = {
    "HelmRelease": {"helm_release": FluxHelmRelease(chart="charts/web")},
    "Kustomization": {"kustomization": FluxKustomization(path="deploy/prod")},
}
KINDS = {
    "OCIRepository": ("source.toolkit.fluxcd.io", "v1", "ocirepositories"),
    "GitRepository": ("source.toolkit.fluxcd.io", "v1", "gitrepositories"),
    "HelmRelease": ("helm.toolkit.fluxcd.io", "v2", "helmreleases"),
    "Kustomization": ("kustomize.toolkit.fluxcd.io", "v1", "kustomizations"),
}
READY = {"type": "Ready", "status": "True", "reason": "Succeeded"}
FINALIZER = "finalizers.fluxcd.io"


def flux(namespace: str, source: str = "OCIRepository", made: str = "HelmRelease") -> Release:
    chosen = FluxSource(**SOURCES[source], **RELEASES[made])
    values = {"replicas": 2} if made == "HelmRelease" else {}
    return Release("web", namespace, Source(flux=chosen), values=values)


def crd(group: str, version: str, kind: str, plural: str) -> dict[str, Any]:
    unknown = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    # As in Flux's own definitions: a status from the start, that has seen nothing.
    status = {**unknown, "default": {"observedGeneration": -1}}
    schema = {**unknown, "properties": {"status": status}}
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
    crds = [crd(group, version, kind, plural) for kind, (group, version, plural) in KINDS.items()]
    text = yaml.safe_dump_all(crds)
    tools.kubectl("apply", "-f", "-", stdin=text)
    tools.kubectl("wait", "--for=condition=Established", "-f", "-", "--timeout=30s", stdin=text)
    yield
    tools.kubectl("delete", "-f", "-", "--ignore-not-found", stdin=text)


def live(tools: Tools, namespace: str) -> dict[str, dict[str, Any]]:
    """The objects that are there, by kind."""
    listed = json.loads(tools.kubectl("get", ",".join(KINDS), "-n", namespace, "-o", "json"))
    return {item["kind"]: item for item in listed["items"]}


def tell(
    tools: Tools, obj: dict[str, Any], condition: dict[str, str], *, observed: int | None = None
) -> None:
    """What Flux's controller writes; the condition is of the newest generation unless told so."""
    meta = obj["metadata"]
    told = {
        "lastTransitionTime": "2026-01-01T00:00:00Z",
        "message": "",
        "observedGeneration": observed or meta["generation"],
        **condition,
    }
    status = {"observedGeneration": meta["generation"], "conditions": [told]}
    tools.kubectl(
        "patch", obj["kind"], meta["name"], "-n", meta["namespace"], "--subresource=status",
        "--type=merge", f"-p={json.dumps({'status': status})}",
    )  # fmt: skip


async def made(
    tools: Tools, namespace: str, source: str, kind: str, **spec: Any
) -> dict[str, dict[str, Any]]:
    """The objects, once both are there and the release's spec is so."""
    async with asyncio.timeout(30):
        while True:
            found = live(tools, namespace)
            if {source, kind} <= found.keys():
                actual = found[kind]["spec"]
                if {key: actual.get(key) for key in spec} == spec:
                    return found
            await asyncio.sleep(0.1)


def phases(running: RunningEngine, generation: int = 1) -> set[str]:
    """What was reported of a generation so far."""
    return {e.phase.value for e in running.events if e.observed_generation == generation}


async def test_a_cluster_without_flux_is_told_so(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    async with start_engine(max_attempts=1) as running:
        running.submit(flux(namespace).present())
        failed = await running.failed("web")
        assert failed.reason is ReasonCode.FLUX_MISSING
        assert "OCIRepository" in failed.message
    assert not tools.exists("namespace", namespace)


@pytest.mark.usefixtures("flux_kinds")
async def test_fluxs_conditions_are_the_status(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    async with start_engine() as running:
        running.submit(flux(namespace).present())
        found = await made(tools, namespace, "OCIRepository", "HelmRelease")
        assert phases(running) == {"Applying"}, "Flux has not looked yet"
        tell(tools, found["OCIRepository"], READY)
        tell(tools, found["HelmRelease"], READY)
        await running.ready("web")
        running.events.clear()
        stalled = {"type": "Stalled", "status": "True", "reason": "InstallFailed"}
        tell(tools, found["HelmRelease"], stalled | {"message": "it does not install"})
        failed = await running.failed("web")
        assert failed.reason is ReasonCode.HEALTH_CHECK_FAILED
        assert "it does not install" in failed.message


@pytest.mark.usefixtures("flux_kinds")
async def test_each_source_makes_each_kind_of_release_pinned_and_takes_both_away(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    """One after the other as one extension: what the one before was made of goes, too."""
    chart = {"spec": {"chart": "charts/web", "sourceRef": {"kind": "GitRepository", "name": "web"}}}
    expected: dict[tuple[str, str], dict[str, Any]] = {
        ("OCIRepository", "HelmRelease"): {
            "chartRef": {"kind": "OCIRepository", "name": "web"},
            "values": {"replicas": 2},
        },
        ("GitRepository", "HelmRelease"): {
            "chart": chart,
            "chartRef": None,
            "values": {"replicas": 2},
        },
        ("OCIRepository", "Kustomization"): {
            "sourceRef": {"kind": "OCIRepository", "name": "web"},
            "path": "./deploy/prod",
            "prune": True,
            "wait": True,
        },
        ("GitRepository", "Kustomization"): {
            "sourceRef": {"kind": "GitRepository", "name": "web"},
            "path": "./deploy/prod",
            "prune": True,
            "wait": True,
            "targetNamespace": namespace,
        },
    }
    reference = {"OCIRepository": {"digest": DIGEST}, "GitRepository": {"commit": COMMIT}}
    async with start_engine() as running:
        for generation, ((source, kind), wanted) in enumerate(expected.items(), start=1):
            release = flux(namespace, source, kind).next(generation=generation, revision=generation)
            running.submit(release.present())
            found = await made(tools, namespace, source, kind, **wanted)
            assert phases(running, generation) == {"Applying"}, "Flux has not looked yet"
            assert found[source]["spec"]["ref"] == reference[source]
            tell(tools, found[source], READY)
            tell(tools, found[kind], READY)
            await running.ready("web", generation)
            assert live(tools, namespace).keys() == {source, kind}
        hold = json.dumps({"metadata": {"finalizers": [FINALIZER]}})
        finish = ("patch", kind, "web", "-n", namespace, "--type=merge")
        tools.kubectl(*finish, f"-p={hold}")
        running.submit(release.next().absent())
        async with asyncio.timeout(30):
            while "deletionTimestamp" not in tools.get(kind, "web", "-n", namespace)["metadata"]:
                await asyncio.sleep(0.1)
        assert phases(running, generation + 1) == {"Applying"}, "Flux has yet to clean up"
        tools.kubectl(*finish, '-p={"metadata": {"finalizers": null}}')
        await running.removed("web", generation + 1)
    assert live(tools, namespace) == {}


@pytest.mark.usefixtures("flux_kinds")
async def test_what_flux_has_suspended_is_not_ready_and_says_so(
    start_engine: StartEngine, tools: Tools, namespace: str
) -> None:
    """Although its controller says that it has seen the newest generation."""
    first = flux(namespace)
    suspend = ("patch", "HelmRelease", "web", "-n", namespace, "--type=merge")
    async with start_engine() as running:
        running.submit(first.present())
        found = await made(tools, namespace, "OCIRepository", "HelmRelease")
        assert phases(running) == {"Applying"}, "Flux has not looked yet"
        tell(tools, found["OCIRepository"], READY)
        tell(tools, found["HelmRelease"], READY)
        await running.ready("web")
        tools.kubectl(*suspend, '-p={"spec": {"suspend": true}}')
        soon = Readiness(timeout=timedelta(seconds=2))
        running.submit(first.next(values={"replicas": 3}, readiness=soon).present())
        async with asyncio.timeout(30):
            while live(tools, namespace)["HelmRelease"]["metadata"]["generation"] < 3:
                await asyncio.sleep(0.1)
        newest = live(tools, namespace)["HelmRelease"]
        assert newest["spec"]["values"] == {"replicas": 3}
        tell(tools, newest, READY, observed=1)
        failed = await running.failed("web", 2)
        assert failed.reason is ReasonCode.READINESS_TIMED_OUT
        assert f"HelmRelease {namespace}/web: It is suspended" in failed.message
        tools.kubectl(*suspend, '-p={"spec": {"suspend": null}}')
        tell(tools, live(tools, namespace)["HelmRelease"], READY)
        await running.ready("web", 2)


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
