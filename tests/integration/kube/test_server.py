"""What only the simulator has: many clusters, settable delays, a state that survives SIGKILL."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import httpx
import pytest

from dev.kube.server import KubeServer
from tests.integration.kube.conftest import simulator
from tests.integration.kube.raw import async_http, http

MAPS = "/api/v1/namespaces/default/configmaps"


async def test_clusters_are_apart_and_guarded_by_their_tokens() -> None:
    async with KubeServer.start() as server:
        one, two = server.add_cluster("one"), server.add_cluster("two")
        async with async_http(one.url, one.ca_bundle, one.token) as api:
            body = {"metadata": {"name": "here"}}
            assert (await api.post(MAPS, json=body)).status_code == 201
        async with async_http(two.url, two.ca_bundle, two.token) as api:
            assert (await api.get(f"{MAPS}/here")).status_code == 404
        async with async_http(two.url, two.ca_bundle, one.token) as api:
            refused = await api.get(MAPS)
            assert (refused.status_code, refused.json()["reason"]) == (401, "Unauthorized")


async def test_leaving_the_block_ends_open_watches() -> None:
    async with KubeServer.start() as server:
        cluster = server.add_cluster("one")
        async with (
            async_http(cluster.url, cluster.ca_bundle, cluster.token) as api,
            api.stream("GET", MAPS, params={"watch": "true"}) as watch,
        ):
            lines = watch.aiter_lines()
            assert "kube-root-ca.crt" in await anext(lines)
            started = time.monotonic()
            server.close()
            with pytest.raises(StopAsyncIteration):
                await anext(lines)
            assert time.monotonic() - started < 10


async def test_a_watch_from_the_forgotten_past_is_told_to_list_again() -> None:
    async with KubeServer.start() as server:
        cluster = server.add_cluster("one")
        async with async_http(cluster.url, cluster.ca_bundle, cluster.token) as api:
            start = (await api.get(MAPS)).json()["metadata"]["resourceVersion"]
            bucket = server.served["one"].cluster.store.bucket(("", "configmaps"))
            first = {"metadata": {"name": "busy"}, "data": {"n": "0"}}
            await api.post(MAPS, json=first)
            record = bucket.records["default", "busy"]
            for number in range(5000):
                obj = {**record.obj, "metadata": dict(record.obj["metadata"])}
                obj["data"] = {"n": str(number)}
                server.served["one"].cluster.store.put(("", "configmaps"), obj)
            query = {"watch": "true", "resourceVersion": start}
            answer = await api.get(MAPS, params=query)
            assert (answer.status_code, answer.json()["reason"]) == (410, "Expired")


async def test_an_annotation_overrides_the_delay_of_a_pod() -> None:
    async with KubeServer.start() as server:
        cluster = server.add_cluster("one", ready_delay=60)
        path = "/api/v1/namespaces/default/pods"
        container = {"name": "main", "image": "busybox:1.37"}
        metadata = {"name": "quick", "annotations": {"arcbridge.io/ready-delay": "0.05"}}
        async with async_http(cluster.url, cluster.ca_bundle, cluster.token) as api:
            for each in (metadata, {"name": "slow"}):
                body = {"metadata": each, "spec": {"containers": [container]}}
                assert (await api.post(path, json=body)).status_code == 201
            await asyncio.sleep(0.5)
            phases = {
                item["metadata"]["name"]: item["status"]["phase"]
                for item in (await api.get(path)).json()["items"]
            }
            assert phases == {"quick": "Running", "slow": "Pending"}


def test_sigkill_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    arguments = ("--clusters", "one", "--state-dir", str(tmp_path / "state"))
    acknowledged: dict[str, str] = {}
    with simulator(tmp_path, *arguments) as running:
        config = Path(running["clusters"]["one"]["kubeconfig"])
        with http(config, tmp_path) as api:
            for number in range(50):
                created = api.post(MAPS, json={"metadata": {"name": f"m{number}"}}).json()
                acknowledged[f"m{number}"] = created["metadata"]["resourceVersion"]
            api.delete(f"{MAPS}/m0")
            del acknowledged["m0"]
            before = config.read_text()
            version = int(api.get(MAPS).json()["metadata"]["resourceVersion"])
            os.kill(running["pid"], signal.SIGKILL)
    with simulator(tmp_path, *arguments, "--port", str(running["port"])):
        assert config.read_text() == before
        with http(config, tmp_path) as api:
            found = api.get(MAPS).json()
            versions = {
                item["metadata"]["name"]: item["metadata"]["resourceVersion"]
                for item in found["items"]
            }
            assert versions.items() >= acknowledged.items()
            assert "m0" not in versions
            assert int(found["metadata"]["resourceVersion"]) >= version
            created = api.post(MAPS, json={"metadata": {"name": "new"}}).json()
            assert int(created["metadata"]["resourceVersion"]) > version


def test_workloads_go_on_after_sigkill(tmp_path: Path) -> None:
    arguments = ("--clusters", "one", "--state-dir", str(tmp_path / "state"), "--ready-delay", "1")
    deployments = "/apis/apps/v1/namespaces/default/deployments"
    template = {
        "metadata": {"labels": {"a": "b"}},
        "spec": {"containers": [{"name": "main", "image": "busybox:1.37"}]},
    }
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template, "replicas": 2}
    with simulator(tmp_path, *arguments) as running:
        config = Path(running["clusters"]["one"]["kubeconfig"])
        with http(config, tmp_path) as api:
            body = {"metadata": {"name": "app"}, "spec": spec}
            assert api.post(deployments, json=body).status_code == 201
        os.kill(running["pid"], signal.SIGKILL)
    with simulator(tmp_path, *arguments), http(config, tmp_path) as api:
        end = time.monotonic() + 10
        while _available(api, f"{deployments}/app") != 2:
            assert time.monotonic() < end
            time.sleep(0.1)


def _available(api: httpx.Client, path: str) -> int:
    return int(api.get(path).json().get("status", {}).get("availableReplicas", 0))


async def test_hundreds_of_clusters_fit_in_one_process() -> None:
    async with KubeServer.start() as server:
        used = time.process_time()
        for number in range(300):
            server.add_cluster(f"c{number}")
        assert time.process_time() - used < 10
        await asyncio.sleep(0.5)
        used = time.process_time()
        await asyncio.sleep(1)
        assert time.process_time() - used < 0.1


async def test_a_list_of_thousands_of_nodes_is_quick() -> None:
    async with KubeServer.start() as server:
        cluster = server.add_cluster("big", node_count=5000)
        async with async_http(cluster.url, cluster.ca_bundle, cluster.token) as api:
            await api.get("/api/v1/nodes")
            used = time.process_time()
            listed = (await api.get("/api/v1/nodes")).json()
            assert len(listed["items"]) == 5000
            assert time.process_time() - used < 5
