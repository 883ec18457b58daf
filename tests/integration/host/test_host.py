"""The local Functions host, run as its users run it, over a small app."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.integration.host.running import DEADLINE_SECONDS, Running, host

pytestmark = pytest.mark.asyncio(loop_scope="module")
GUID = "0192f0a1-7e4c-7abc-8def-0123456789ab"
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with host(tmp_path_factory.mktemp("host")) as running:
        yield running


async def test_a_function_gets_the_request_and_its_answer_is_sent(running: Running) -> None:
    answer = await running.http.post(
        "/api/v1/echo/a%2Fb?x=1&x=2&y=",
        content=b"hello",
        headers=[("traceparent", PARENT), ("x-twice", "1"), ("x-twice", "2")],
    )
    assert answer.status_code == 201
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-a"] == "b"
    assert answer.json() == {
        "method": "POST",
        "name": "a/b",
        "query": {"x": "1,2", "y": ""},
        "header": "1,2",
        "body": "hello",
        "traceparent": PARENT,
        "function": "echo",
        "mainThread": True,
    }


async def test_the_callers_address_is_appended_as_azures_front_end_does(
    running: Running,
) -> None:
    headers = {"X-Forwarded-For": "203.0.113.7"}
    answer = await running.http.get("/api/forwarded", headers=headers)
    forged, real = answer.text.split(", ")
    assert forged == "203.0.113.7"
    assert real.startswith("127.0.0.1:")


async def test_a_request_without_a_trace_starts_one(running: Running) -> None:
    first, second = [
        (await running.http.post("/api/v1/echo/x", headers={"traceparent": "junk"})).json()
        for _ in range(2)
    ]
    assert first["traceparent"].startswith("00-")
    assert first["traceparent"] != second["traceparent"]


async def test_a_synchronous_function_runs_in_a_thread_and_may_return_text(
    running: Running,
) -> None:
    answer = await running.http.get("/api/v1/echo/known")
    assert (answer.status_code, answer.text) == (200, "thread")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v1/echo/x", 404),  # a wrong method
        ("HEAD", "/api/v1/echo/known", 404),
        ("PUT", "/api/v1/echo/known", 404),
        ("GET", "/v1/echo/known", 404),  # outside the prefix
        ("GET", "/api", 404),
        ("GET", "/api/items/7", 404),  # a constraint that does not hold
        ("GET", f"/api/items/{GUID}", 204),  # nothing returned
        ("DELETE", f"/API/Items/{GUID}/", 204),  # any case, any method
        ("GET", "/api/fails", 500),
        ("GET", "/api/slow?seconds=30", 500),  # longer than functionTimeout
        ("GET", "/api/keyed", 401),
        ("POST", "/admin/functions/by_hand", 401),
    ],
)
async def test_the_host_answers_as_microsofts_does(
    running: Running, method: str, path: str, status: int
) -> None:
    answer = await running.http.request(method, path)
    assert answer.status_code == status
    assert "c4n4ry" not in answer.text


async def test_a_body_over_the_limit_is_refused(running: Running) -> None:
    answer = await running.http.post("/api/v1/echo/x", content=b"x" * 1001)
    assert answer.status_code == 413


async def test_each_cookie_is_a_header_of_its_own(running: Running) -> None:
    answer = await running.http.get("/api/cookies")
    assert answer.headers.get_list("set-cookie") == ["a=1", "b=2"]


async def test_a_key_opens_a_function_of_level_function(running: Running) -> None:
    key = json.loads((running.directory / "state" / "keys.json").read_text())["function"]
    assert (await running.http.get("/api/keyed", params={"code": key})).text == "opened"
    headers = {"x-functions-key": key}
    assert (await running.http.get("/api/keyed", headers=headers)).text == "opened"
    refused = await running.http.post("/admin/functions/by_hand", headers=headers)
    assert refused.status_code == 401


async def test_a_timer_can_be_run_by_hand_with_the_master_key(running: Running) -> None:
    headers = {"x-functions-key": running.master_key()}
    answer = await running.http.post("/admin/functions/by_hand", headers=headers, json={})
    assert answer.status_code == 202
    await running.until_noted("by_hand past_due=False")
    unknown = await running.http.post("/admin/functions/nothing", headers=headers, json={})
    assert unknown.status_code == 404


async def test_a_timer_fires_on_its_schedule_and_never_overlaps_itself(tmp_path: Path) -> None:
    async with host(tmp_path, SAMPLE_SCHEDULE="* * * * * *") as running:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while sum(line.endswith("end") for line in running.notes()) < 2:
                await asyncio.sleep(0.05)
        # asked to end in the middle of a run, the host lets it end
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not running.notes()[-1].endswith("start"):
                await asyncio.sleep(0.02)
    kinds = [line.split()[2] for line in running.notes() if line.startswith("ticking")]
    assert kinds == ["start", "end"] * (len(kinds) // 2)


async def test_a_timer_runs_on_startup_and_knows_what_it_missed(tmp_path: Path) -> None:
    async with host(tmp_path) as running:
        await running.until_noted("daily past_due=False")
    status_path = tmp_path / "state" / "timers" / "daily.json"
    status = json.loads(status_path.read_text())
    status["Next"] = status["Last"]
    status_path.write_text(json.dumps(status))
    async with host(tmp_path) as running:
        await running.until_noted("daily past_due=True")


async def test_a_request_under_way_is_answered_before_the_host_ends(tmp_path: Path) -> None:
    async with host(tmp_path) as running:
        request = asyncio.create_task(running.http.get("/api/slow?seconds=1"))
        await asyncio.sleep(0.3)
        running.process.send_signal(signal.SIGTERM)
        assert (await request).text == "done"
        assert await running.process.wait() == 0
