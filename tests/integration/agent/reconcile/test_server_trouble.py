"""An API server that answers with errors of its own for a while is no revision's fault."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from agent.reconcile.seam import ReconcileSettings
from dev.kube.errors import StatusError
from dev.kube.http import Request
from dev.kube.server import KubeServer
from dev.trial.running import RunningEngine, running_engine
from shared.contract.extension import DriftMode, DriftPolicy, Readiness
from shared.contract.reasons import ReasonCode
from shared.contract.source import Source
from tests.integration.agent.reconcile.sources import (
    Release,
    chart_archive,
    config_map,
    inline_chart,
    overlay,
)

QUIET = DriftPolicy(mode=DriftMode.OFF)
INTERNAL = StatusError(500, "InternalError", "Internal error occurred: failed calling webhook")
BUSY = StatusError(503, "ServiceUnavailable", "apiserver is shutting down")
SLOW = StatusError(504, "Timeout", "Timeout: request did not complete within requested timeout")
UNTYPED = StatusError(
    500,
    "",
    "failed to create typed patch object (shop/one; /v1, Kind=ConfigMap): .spec.x: field not "
    "declared in schema",
)

Trouble = Callable[..., AbstractAsyncContextManager[tuple[RunningEngine, list[StatusError]]]]


@pytest.fixture
def troubled(settings: ReconcileSettings, tmp_path: Path) -> Trouble:
    """An engine on a server of its own, which answers the next writes to objects of the extension
    with the errors that are left in a list, from the list's end."""

    @contextlib.asynccontextmanager
    async def start(
        errors: Iterable[StatusError], method: str = "PATCH"
    ) -> AsyncIterator[tuple[RunningEngine, list[StatusError]]]:
        left = list(errors)

        def answer(request: Request) -> None:
            extensions = "/namespaces/shop/" in request.path and "/secrets" not in request.path
            if left and request.method == method and extensions:
                raise left.pop()

        async with KubeServer.start() as server:
            cluster = server.add_cluster("c")
            cluster.write_kubeconfig(tmp_path / "config")
            cluster.cluster.observers.append(answer)
            own = replace(settings, kubeconfig=tmp_path / "config", work_dir=tmp_path / "work")
            async with running_engine(own) as running:
                yield running, left

    return start


def release(source: Source, seconds: float = 60) -> Release:
    readiness = Readiness(timeout=timedelta(seconds=seconds))
    return Release("web", "shop", source, drift=QUIET, readiness=readiness)


@pytest.mark.parametrize("kind", ["kustomize", "helm"])
async def test_more_errors_than_there_are_attempts_are_waited_out(
    troubled: Trouble, kind: str
) -> None:
    chart = inline_chart(chart_archive())
    source = chart if kind == "helm" else overlay(config_map("one", a="1"))
    async with troubled([INTERNAL, BUSY, SLOW, INTERNAL]) as (running, left):
        running.submit(release(source).present())
        ready = await running.ready("web")
        assert (ready.attempt, left) == (1, [])
        told = [event for event in running.events if event.reason is ReasonCode.INSTALL_FAILED]
        assert {event.phase.value for event in told} == {"Applying"}
        assert any("failed calling webhook" in event.message for event in told)


async def test_errors_that_outlast_the_extensions_timeout_are_its_failure(
    troubled: Trouble,
) -> None:
    async with troubled([BUSY] * 1000) as (running, _):
        running.submit(release(overlay(config_map("one", a="1")), seconds=1).present())
        failed = await running.failed("web")
        assert (failed.reason, failed.attempt) == (ReasonCode.INSTALL_FAILED, 3)
        assert "shutting down" in failed.message


@pytest.mark.parametrize("kind", ["kustomize", "helm"])
async def test_an_object_that_does_not_fit_its_schema_is_at_fault_whatever_the_status_says(
    troubled: Trouble, kind: str
) -> None:
    chart = inline_chart(chart_archive())
    source = chart if kind == "helm" else overlay(config_map("one", a="1"))
    async with troubled([UNTYPED] * 1000) as (running, _):
        running.submit(release(source).present())
        failed = await running.failed("web", seconds=30)
        assert (failed.reason, failed.attempt) == (ReasonCode.INSTALL_FAILED, 3)
        assert "not declared in schema" in failed.message


async def test_a_removal_waits_out_the_servers_trouble(troubled: Trouble) -> None:
    first = release(overlay(config_map("one", a="1")))
    async with troubled([], "DELETE") as (running, left):
        running.submit(first.present())
        await running.ready("web")
        left += [INTERNAL, BUSY, SLOW, INTERNAL]
        running.submit(first.next().absent())
        await running.removed("web", 2)
        assert left == []
