"""The `kubernetes` client library and kopf, unmodified."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import kopf
import pytest
import yaml
from kubernetes import client, config, dynamic, watch
from kubernetes.client.exceptions import ApiException

from tests.integration.kube.target import DATA, KubeTarget

DEADLINE = 20
# A developer's own cluster may have a kubeconfig that does not verify the server.
pytestmark = pytest.mark.filterwarnings("ignore:Unverified HTTPS request")


@pytest.fixture
def api(kube_target: KubeTarget) -> Iterator[client.ApiClient]:
    """The client library, told of the cluster by its kubeconfig."""
    with config.new_client_from_config(str(kube_target.kubeconfig)) as found:
        yield found


def config_map(name: str, **data: str) -> client.V1ConfigMap:
    return client.V1ConfigMap(metadata=client.V1ObjectMeta(name=name), data=data)


def test_typed_client_creates_reads_replaces_and_deletes(
    kube_target: KubeTarget, api: client.ApiClient
) -> None:
    core, namespace = client.CoreV1Api(api), kube_target.namespace
    created = core.create_namespaced_config_map(namespace, config_map("one", a="b"))
    created.data = {"a": "c"}
    replaced = core.replace_namespaced_config_map("one", namespace, created)
    assert replaced.metadata.resource_version != created.metadata.resource_version
    with pytest.raises(ApiException) as conflict:
        core.replace_namespaced_config_map("one", namespace, created)
    assert (conflict.value.status, conflict.value.reason) == (409, "Conflict")
    core.delete_namespaced_config_map("one", namespace)
    with pytest.raises(ApiException) as missing:
        core.read_namespaced_config_map("one", namespace)
    assert missing.value.status == 404


def test_typed_client_lists_in_pages(kube_target: KubeTarget, api: client.ApiClient) -> None:
    core, namespace = client.CoreV1Api(api), kube_target.namespace
    for number in range(5):
        paged = config_map(f"page-{number}")
        paged.metadata.labels = {"paged": "yes"}
        core.create_namespaced_config_map(namespace, paged)
    first = core.list_namespaced_config_map(namespace, limit=2, label_selector="paged")
    rest = core.list_namespaced_config_map(
        namespace, limit=10, _continue=first.metadata._continue, label_selector="paged"
    )
    names = [item.metadata.name for item in [*first.items, *rest.items]]
    assert names == [f"page-{number}" for number in range(5)]


def test_typed_client_watches(kube_target: KubeTarget, api: client.ApiClient) -> None:
    core, namespace = client.CoreV1Api(api), kube_target.namespace
    start = core.list_namespaced_config_map(namespace).metadata.resource_version

    def change() -> None:
        core.create_namespaced_config_map(namespace, config_map("seen"))
        core.patch_namespaced_config_map("seen", namespace, {"data": {"a": "b"}})
        core.delete_namespaced_config_map("seen", namespace)

    thread = threading.Thread(target=change)
    thread.start()
    events = []
    for event in watch.Watch().stream(
        core.list_namespaced_config_map, namespace, resource_version=start,
        timeout_seconds=DEADLINE, field_selector="metadata.name=seen",
    ):  # fmt: skip
        events.append(event["type"])
        if event["type"] == "DELETED":
            break
    thread.join()
    assert events == ["ADDED", "MODIFIED", "DELETED"]


def test_dynamic_client_applies_any_kind(kube_target: KubeTarget, api: client.ApiClient) -> None:
    any_kind = dynamic.DynamicClient(api)
    deployments = any_kind.resources.get(api_version="apps/v1", kind="Deployment")
    body = next(yaml.safe_load_all((DATA / "app.yaml").read_text()))
    applied = deployments.server_side_apply(
        body=body, name="app", namespace=kube_target.namespace, field_manager="python"
    )
    assert applied.spec.replicas == 2
    owners = {entry["manager"] for entry in applied.metadata.managedFields}
    assert owners == {"python"}
    found = deployments.get(namespace=kube_target.namespace, label_selector="app=app")
    assert [item.metadata.name for item in found.items] == ["app"]


def test_a_lease_is_taken_by_one(kube_target: KubeTarget, api: client.ApiClient) -> None:
    leases, namespace = client.CoordinationV1Api(api), kube_target.namespace

    def lease(holder: str) -> client.V1Lease:
        spec = client.V1LeaseSpec(
            holder_identity=holder, lease_duration_seconds=15, renew_time=datetime.now(UTC)
        )
        return client.V1Lease(metadata=client.V1ObjectMeta(name="leader"), spec=spec)

    mine = leases.create_namespaced_lease(namespace, lease("one"))
    with pytest.raises(ApiException) as taken:
        leases.create_namespaced_lease(namespace, lease("two"))
    assert taken.value.status == 409
    mine.spec.renew_time = datetime.now(UTC)
    renewed = leases.replace_namespaced_lease("leader", namespace, mine)
    assert renewed.spec.holder_identity == "one"
    with pytest.raises(ApiException) as outdated:
        leases.replace_namespaced_lease("leader", namespace, mine)
    assert outdated.value.status == 409


def test_kopf_operator_sees_changes_and_writes_back(
    kube_target: KubeTarget, api: client.ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(kube_target.kubeconfig))
    registry, seen = kopf.OperatorRegistry(), []

    @kopf.on.event("", "v1", "configmaps", registry=registry)  # type: ignore[arg-type]  # kopf's overloads
    async def note(event: dict[str, Any], name: str, **_: Any) -> None:
        seen.append((event["type"], name))

    @kopf.on.create("", "v1", "secrets", registry=registry)  # type: ignore[arg-type]  # kopf's overloads
    async def greet(patch: kopf.Patch, **_: Any) -> None:
        patch.metadata.annotations["greeted"] = "yes"

    core, namespace = client.CoreV1Api(api), kube_target.namespace
    with operator(kube_target, registry):
        # What stands there when kopf begins comes without a type; the rest comes from the watch.
        kube_target.eventually(lambda: any(name == "kube-root-ca.crt" for _, name in seen))
        core.create_namespaced_config_map(namespace, config_map("watched"))
        core.create_namespaced_secret(
            namespace, client.V1Secret(metadata=client.V1ObjectMeta(name="greeting"))
        )

        def greeted() -> bool:
            found = core.read_namespaced_secret("greeting", namespace)
            return (found.metadata.annotations or {}).get("greeted") == "yes"

        kube_target.eventually(greeted)
        core.delete_namespaced_config_map("watched", namespace)
        kube_target.eventually(lambda: ("DELETED", "watched") in seen)
    assert ("ADDED", "watched") in seen


class operator:
    """kopf in a thread of its own, limited to the test's namespace."""

    def __init__(self, target: KubeTarget, registry: kopf.OperatorRegistry) -> None:
        self._target, self._registry = target, registry
        self._stop, self._ready = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        @kopf.on.login(registry=self._registry)
        def sign_in(**given: Any) -> kopf.ConnectionInfo | None:
            return kopf.login_with_kubeconfig(**given)

        settings = kopf.OperatorSettings()
        settings.posting.enabled = False
        settings.watching.server_timeout = DEADLINE
        asyncio.run(
            kopf.operator(
                registry=self._registry, settings=settings, standalone=True,
                namespaces=[self._target.namespace], stop_flag=self._stop,
                ready_flag=self._ready,
            )
        )  # fmt: skip

    def __enter__(self) -> None:
        self._thread.start()
        assert self._ready.wait(DEADLINE)
        time.sleep(0.5)  # ready means that it began, not that it watches

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(DEADLINE)
