"""What client libraries rely on below their own interface: watches, pages, preconditions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.kube.raw import http, watching
from tests.integration.kube.target import KubeTarget

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
METADATA = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
MERGE = {"content-type": "application/merge-patch+json"}


@pytest.fixture
def api(kube_target: KubeTarget, tmp_path: Path) -> Iterator[httpx.Client]:
    with http(kube_target.kubeconfig, tmp_path) as client:
        yield client


@pytest.fixture
def maps(kube_target: KubeTarget) -> str:
    """The path of the test's ConfigMaps."""
    return f"/api/v1/namespaces/{kube_target.namespace}/configmaps"


def create(api: httpx.Client, path: str, name: str, **more: Any) -> dict[str, Any]:
    answer = api.post(path, json={"metadata": {"name": name, **more.pop("metadata", {})}, **more})
    assert answer.status_code == 201, answer.text
    created: dict[str, Any] = answer.json()
    return created


def version(api: httpx.Client, path: str) -> str:
    return str(api.get(path).json()["metadata"]["resourceVersion"])


def test_watch_goes_on_from_a_resource_version(api: httpx.Client, maps: str) -> None:
    start = version(api, maps)
    create(api, maps, "one")
    api.patch(f"{maps}/one", json={"data": {"a": "b"}}, headers=MERGE)
    api.delete(f"{maps}/one")
    with watching(api, maps, resourceVersion=start, fieldSelector="metadata.name=one") as watch:
        assert [watch.next()[0] for _ in range(3)] == ["ADDED", "MODIFIED", "DELETED"]


def test_objects_enter_and_leave_a_selection(api: httpx.Client, maps: str) -> None:
    start = version(api, maps)
    create(api, maps, "one")
    for value in ("yes", "no"):
        body = {"metadata": {"labels": {"chosen": value}}}
        api.patch(f"{maps}/one", json=body, headers=MERGE)
    with watching(api, maps, resourceVersion=start, labelSelector="chosen=yes") as watch:
        events = [watch.next() for _ in range(2)]
    assert [kind for kind, _ in events] == ["ADDED", "DELETED"]


def streams_lists(api: httpx.Client, maps: str, asked: dict[str, str]) -> bool:
    """False where the server refuses, for want of the feature gate."""
    once = {**asked, "watch": "true", "timeoutSeconds": "1"}
    return "WatchList" not in api.get(maps, params=once).text


def test_watch_sends_its_initial_state_and_says_where_it_ends(
    api: httpx.Client, maps: str, kube_target: KubeTarget
) -> None:
    create(api, maps, "one", metadata={"labels": {"mine": "yes"}})
    asked = {
        "sendInitialEvents": "true",
        "resourceVersionMatch": "NotOlderThan",
        "allowWatchBookmarks": "true",
        "labelSelector": "mine",
    }
    if not kube_target.simulated and not streams_lists(api, maps, asked):
        pytest.skip("this real cluster does not stream lists (feature gate WatchList)")
    with watching(api, maps, **asked) as watch:
        kind, obj = watch.next()
        if "RequestWatchProgress is disabled" in obj.get("message", ""):
            assert not kube_target.simulated
            pytest.skip("the storage of this real cluster is too old to stream lists")
        assert kind == "ADDED"
        kind, bookmark = watch.next()
        assert kind == "BOOKMARK"
        assert bookmark["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
        assert bookmark["kind"] == "ConfigMap"


def test_watch_ends_when_its_time_is_up(api: httpx.Client, maps: str) -> None:
    start = version(api, maps)
    with watching(api, maps, resourceVersion=start, timeoutSeconds=1) as watch:
        assert watch.rest() == []


def test_a_future_version_is_refused(api: httpx.Client, maps: str) -> None:
    answer = api.get(maps, params={"resourceVersion": "999999999999"})
    assert answer.status_code == 504
    assert answer.json()["reason"] == "Timeout"


def test_outdated_updates_conflict(api: httpx.Client, maps: str) -> None:
    created = create(api, maps, "one")
    api.patch(f"{maps}/one", json={"data": {"a": "b"}}, headers=MERGE)
    answer = api.put(f"{maps}/one", json=created)
    assert (answer.status_code, answer.json()["reason"]) == (409, "Conflict")
    assert "the object has been modified" in answer.json()["message"]
    body = {"metadata": {"resourceVersion": created["metadata"]["resourceVersion"]}}
    assert api.patch(f"{maps}/one", json=body, headers=MERGE).status_code == 409


def test_updates_that_change_nothing_make_no_version(api: httpx.Client, maps: str) -> None:
    created = create(api, maps, "one", data={"a": "b"})
    answer = api.put(f"{maps}/one", json=created).json()
    assert answer["metadata"]["resourceVersion"] == created["metadata"]["resourceVersion"]


def test_deletes_check_their_preconditions(api: httpx.Client, maps: str) -> None:
    create(api, maps, "one")
    options = {"preconditions": {"uid": "00000000-0000-0000-0000-000000000000"}}
    answer = api.request("DELETE", f"{maps}/one", json=options)
    assert answer.status_code == 409
    assert "the UID in the precondition (00000000" in answer.json()["message"]


def test_names_are_generated_and_checked(api: httpx.Client, maps: str) -> None:
    answer = api.post(maps, json={"metadata": {"generateName": "some-"}})
    assert answer.json()["metadata"]["name"].startswith("some-")
    answer = api.post(maps, json={"metadata": {"name": "Not_Good"}})
    assert answer.status_code == 422
    assert answer.json()["details"]["causes"][0]["field"] == "metadata.name"
    assert create(api, maps, "one")
    answer = api.post(maps, json={"metadata": {"name": "one"}})
    assert (answer.status_code, answer.json()["reason"]) == (409, "AlreadyExists")


def test_errors_have_the_shape_of_a_status(api: httpx.Client, maps: str) -> None:
    answer = api.get(f"{maps}/absent")
    assert answer.status_code == 404
    assert answer.json() == {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": 'configmaps "absent" not found', "reason": "NotFound",
        "details": {"name": "absent", "kind": "configmaps"}, "code": 404,
    }  # fmt: skip


def test_collections_are_deleted_by_selector(api: httpx.Client, maps: str) -> None:
    create(api, maps, "kept")
    create(api, maps, "gone", metadata={"labels": {"x": "y"}})
    answer = api.request("DELETE", maps, params={"labelSelector": "x=y"})
    assert [item["metadata"]["name"] for item in answer.json()["items"]] == ["gone"]
    assert api.get(f"{maps}/kept").status_code == 200


def test_tables_and_metadata_are_negotiated(api: httpx.Client, maps: str) -> None:
    create(api, maps, "one", data={"a": "b"}, metadata={"labels": {"mine": "yes"}})
    query = {"labelSelector": "mine"}
    table = api.get(maps, params=query, headers={"accept": f"{TABLE},application/json"}).json()
    assert table["kind"] == "Table"
    assert table["rows"][0]["cells"][:2] == ["one", 1]
    listed = api.get(maps, params=query, headers={"accept": METADATA}).json()
    assert listed["kind"] == "PartialObjectMetadataList"
    assert "data" not in listed["items"][0]


def test_field_selectors_know_the_fields_of_the_kind(api: httpx.Client, maps: str) -> None:
    secrets = maps.replace("configmaps", "secrets")
    create(api, secrets, "plain")
    create(api, secrets, "typed", type="example.com/own")
    found = api.get(secrets, params={"fieldSelector": "type=example.com/own"}).json()["items"]
    assert [item["metadata"]["name"] for item in found] == ["typed"]
    answer = api.get(maps, params={"fieldSelector": "data.a=b"})
    assert answer.status_code == 400
    assert '"data.a" is not a known field selector' in answer.json()["message"]


def test_events_are_the_same_in_both_groups(
    api: httpx.Client, maps: str, kube_target: KubeTarget
) -> None:
    about = {"kind": "Pod", "namespace": kube_target.namespace, "name": "p"}
    path = maps.replace("configmaps", "events")
    create(api, path, "noted", involvedObject=about, reason="Because", message="so", type="Normal")
    other = path.replace("/api/v1/", "/apis/events.k8s.io/v1/")
    event = api.get(f"{other}/noted").json()
    assert (event["note"], event["regarding"]["name"]) == ("so", "p")


def test_everything_is_allowed_and_says_so(api: httpx.Client, kube_target: KubeTarget) -> None:
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"verb": "create", "resource": "pods"}},
    }
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    assert api.post(path, json=review).json()["status"]["allowed"] is True
    for path in ("/healthz", "/readyz", "/livez"):
        assert api.get(path).text == "ok"
