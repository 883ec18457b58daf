"""What holds for every endpoint, shown on a few of them, over HTTP."""

from __future__ import annotations

import gzip
import json
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.joined_cluster import join
from tests.running import RunningControlPlane

TOKENS = "/api/v1/bootstrap-tokens"


@pytest.fixture
def http(running: RunningControlPlane) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=running.url, timeout=30, trust_env=False) as client:
        yield client


@pytest.fixture
def admin(running: RunningControlPlane) -> dict[str, str]:
    return running.bearer("admin@demo")


def test_an_answer_carries_trace_and_request_id(http: httpx.Client, admin: dict[str, str]) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    headers = {**admin, "traceparent": trace, "X-Request-Id": "mine-1"}
    answer = http.get(TOKENS, headers=headers)
    assert answer.status_code == 200
    assert answer.headers["traceparent"].split("-")[1] == trace.split("-")[1]
    assert answer.headers["X-Request-Id"] == "mine-1"


def test_a_problem_names_code_trace_and_type(http: httpx.Client) -> None:
    answer = http.get(TOKENS)
    assert answer.status_code == 401
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    problem = answer.json()
    assert problem["code"] == "Unauthenticated"
    assert problem["type"] == "/api/docs#Unauthenticated"
    assert problem["traceId"] == answer.headers["traceparent"].split("-")[1]


@pytest.mark.parametrize("header", ["X-MS-CLIENT-PRINCIPAL", "X-ARR-ClientCert"])
def test_a_header_that_a_proxy_may_set_is_no_identity(http: httpx.Client, header: str) -> None:
    assert http.get(TOKENS, headers={header: "admin"}).status_code == 401


def test_a_role_that_is_not_enough_is_told_which_one_is(
    http: httpx.Client, running: RunningControlPlane
) -> None:
    answer = http.get(TOKENS, headers=running.bearer("operator@demo"))
    assert answer.status_code == 403
    assert "admin" in answer.json()["detail"]


def test_a_platform_admin_is_nobody_inside_a_tenant(
    http: httpx.Client, running: RunningControlPlane
) -> None:
    headers = running.bearer("platform@demo")
    assert http.get("/api/v1/events", headers=headers).status_code == 403


def test_a_misspelt_field_is_answered_with_the_nearest_name(
    http: httpx.Client, admin: dict[str, str]
) -> None:
    answer = http.post(TOKENS, headers=admin, json={"clustrName": "eu-1"})
    assert answer.status_code == 400
    (error,) = answer.json()["errors"]
    assert error["field"] == "clustrName"
    assert error["remedy"] == "did you mean clusterName?"


def test_a_misspelt_parameter_is_refused(http: httpx.Client, admin: dict[str, str]) -> None:
    answer = http.get(TOKENS, headers=admin, params={"limitt": 1})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["remedy"] == "did you mean limit?"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "JSON"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": 1e999}', "large"),
        (b'{"labels": {"a": "\\u0000"}}', "NUL"),
        (b'{"labels": {"a": "\\ud800"}}', "surrogate"),
        (b'{"lifetime": "5m", "lifetime": "6m"}', "twice"),
        (b'{"labels": ' + b"[" * 100_0 + b"]" * 100_0 + b"}", "deep"),
        (b'{"labels": \xff}', "UTF-8"),
        (b'{"lifetime": ' + b"9" * 10_000 + b"}", "number"),
        (b"[]", "object"),
        (b"null", "object"),
    ],
)
def test_a_body_that_cannot_be_read_is_400(
    http: httpx.Client, admin: dict[str, str], body: bytes, words: str
) -> None:
    headers = {**admin, "Content-Type": "application/json"}
    answer = http.post(TOKENS, headers=headers, content=body)
    assert answer.status_code == 400, answer.text
    assert words in answer.json()["detail"]


def test_a_body_over_its_limit_is_413(http: httpx.Client, admin: dict[str, str]) -> None:
    answer = http.post(TOKENS, headers=admin, content=b" " * (64 * 1024 + 1))
    assert answer.status_code == 413
    assert answer.json()["code"] == "TooLarge"


def test_a_compressed_body_is_refused_before_it_is_unpacked(
    http: httpx.Client, admin: dict[str, str]
) -> None:
    bomb = gzip.compress(b" " * 10_000_000)
    headers = {**admin, "Content-Type": "application/json", "Content-Encoding": "gzip"}
    assert http.post(TOKENS, headers=headers, content=bomb).status_code == 415


def test_a_body_of_another_type_is_refused(http: httpx.Client, admin: dict[str, str]) -> None:
    headers = {**admin, "Content-Type": "application/xml"}
    assert http.post(TOKENS, headers=headers, content=b"<a/>").status_code == 415


def test_an_id_that_is_none_is_404(http: httpx.Client, admin: dict[str, str]) -> None:
    assert http.delete(f"{TOKENS}/nonsense", headers=admin).status_code == 404
    assert http.delete(f"{TOKENS}/{uuid.uuid4()}", headers=admin).status_code == 404


def test_a_secret_is_shown_once_even_with_an_idempotency_key(
    http: httpx.Client, admin: dict[str, str]
) -> None:
    headers = {**admin, "Idempotency-Key": str(uuid.uuid4())}
    first = http.post(TOKENS, headers=headers, json={})
    assert first.status_code == 201
    assert first.json()["token"].startswith("abt_demo.")
    assert first.headers["Cache-Control"] == "no-store"
    again = http.post(TOKENS, headers=headers, json={})
    assert again.status_code == 409
    assert "shown once" in again.json()["detail"]
    assert first.json()["token"] not in http.get(TOKENS, headers=admin).text


def test_an_idempotency_key_stands_for_one_request(
    http: httpx.Client, admin: dict[str, str]
) -> None:
    headers = {**admin, "Idempotency-Key": str(uuid.uuid4())}
    assert http.post(TOKENS, headers=headers, json={}).status_code == 201
    other = http.post(TOKENS, headers=headers, json={"clusterName": "eu-1"})
    assert other.status_code == 400
    assert other.json()["errors"][0]["field"] == "Idempotency-Key"


def test_a_refused_request_frees_its_idempotency_key(
    http: httpx.Client, admin: dict[str, str]
) -> None:
    headers = {**admin, "Idempotency-Key": str(uuid.uuid4())}
    assert http.post(TOKENS, headers=headers, json={"lifetime": "5y"}).status_code == 400
    assert http.post(TOKENS, headers=headers, json={"lifetime": "5m"}).status_code == 201


def test_lists_go_on_where_their_cursor_says(http: httpx.Client, admin: dict[str, str]) -> None:
    for _ in range(3):
        assert http.post(TOKENS, headers=admin).status_code == 201
    seen: list[str] = []
    cursor = None
    while True:
        params = {"limit": 1, **({"cursor": cursor} if cursor else {})}
        page = http.get(TOKENS, headers=admin, params=params).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page.get("nextCursor")
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) >= 3


def test_a_tenant_never_sees_another_ones(
    http: httpx.Client, running: RunningControlPlane, admin: dict[str, str]
) -> None:
    mine = http.post(TOKENS, headers=admin, json={}).json()["id"]
    other = running.bearer("admin@other")
    assert mine not in http.get(TOKENS, headers=other).text
    assert http.delete(f"{TOKENS}/{mine}", headers=other).status_code == 404


def test_the_document_and_its_page_need_no_credential(http: httpx.Client) -> None:
    document = json.loads(http.get("/api/openapi.json").content)
    assert document["openapi"] == "3.1.0"
    page = http.get("/api/docs")
    assert "<script" not in page.text
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]


def test_metrics_count_requests(http: httpx.Client) -> None:
    http.get("/api/openapi.json")
    text = http.get("/api/metrics").text
    assert 'arcbridge_http_requests_total{function="openapi",status="200"}' in text


def manifest(name: str) -> dict[str, object]:
    return {
        "metadata": {"name": name},
        "spec": {
            "placement": {"matchLabels": {"env": "nowhere"}},
            "namespace": "web",
            "source": {"kustomize": {"files": {"kustomization.yaml": "resources: []\n"}}},
        },
    }


def test_a_repeated_post_acts_once_and_is_answered_the_same(
    http: httpx.Client, admin: dict[str, str]
) -> None:
    headers = {**admin, "Idempotency-Key": str(uuid.uuid4())}
    first = http.post("/api/v1/desired", headers=headers, json=manifest("repeated"))
    again = http.post("/api/v1/desired", headers=headers, json=manifest("repeated"))
    assert first.json()["created"]
    assert (again.status_code, again.json()) == (first.status_code, first.json())
    assert again.headers["Idempotency-Replayed"] == "true"


def test_posts_with_one_key_at_once_act_once(http: httpx.Client, admin: dict[str, str]) -> None:
    headers = {**admin, "Idempotency-Key": str(uuid.uuid4())}

    def publish(_: int) -> httpx.Response:
        return http.post("/api/v1/desired", headers=headers, json=manifest("raced"))

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(publish, range(8)))
    good = [each for each in answers if each.status_code == 200]
    assert good
    assert all(each.json() == good[0].json() for each in good)
    assert {each.status_code for each in answers} <= {200, 409}


def test_a_key_of_one_person_gives_nothing_to_another(
    http: httpx.Client, running: RunningControlPlane, admin: dict[str, str]
) -> None:
    key = {"Idempotency-Key": str(uuid.uuid4())}
    http.post("/api/v1/desired", headers=admin | key, json=manifest("mine"))
    other = running.bearer("operator@demo") | key
    assert http.post("/api/v1/desired", headers=other, json=manifest("mine")).status_code == 400


def test_yaml_is_published_as_what_it_stands_for(http: httpx.Client, admin: dict[str, str]) -> None:
    text = """
        metadata: {name: from-yaml}
        spec:
          placement: {matchLabels: {env: nowhere}}
          namespace: web
          source: {kustomize: {files: {kustomization.yaml: "resources: []"}}}
    """
    headers = {**admin, "Content-Type": "application/yaml"}
    assert http.post("/api/v1/desired", headers=headers, content=text).status_code == 200
    bomb = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"
    refused = http.post("/api/v1/desired", headers=headers, content=bomb)
    assert refused.status_code == 400
    assert "anchors" in refused.json()["detail"]


def test_labels_change_only_for_who_read_the_newest_version(
    http: httpx.Client, admin: dict[str, str]
) -> None:
    join(http, admin, "labelled")
    path = "/api/v1/clusters/labelled"
    read = http.get(path, headers=admin)
    tag = {"If-Match": read.headers["ETag"], "Content-Type": "application/merge-patch+json"}
    body = json.dumps({"labels": {"ring": "canary"}})
    assert http.patch(path, headers=admin, json={"labels": {}}).status_code == 428
    changed = http.patch(path, headers=admin | tag, content=body)
    assert changed.json()["labels"] == {"ring": "canary"}
    late = json.dumps({"labels": {"ring": None}})
    assert http.patch(path, headers=admin | tag, content=late).status_code == 412
    fresh = {"If-None-Match": changed.headers["ETag"]}
    assert http.get(path, headers=admin | fresh).status_code == 304
