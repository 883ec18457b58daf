"""Overlays that reach out of themselves: nothing is fetched, run or read for them, or applied."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.contract.canonical import digest_bytes
from shared.contract.kustomize_source import KustomizeSource, OverlayArchive
from shared.contract.reasons import ReasonCode
from shared.contract.source import Source
from tests.integration.agent.reconcile.conftest import StartEngine, Tools
from tests.integration.agent.reconcile.https_server import Page, https_server
from tests.integration.agent.reconcile.sources import Release, archive

BASE = "{apiVersion: v1, kind: ConfigMap, metadata: {name: from-afar}}\n"


class Pages(dict[str, Page]):
    """What a server gives out, and which paths it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def get(self, path: str, default: Page | None = None) -> Page | None:  # type: ignore[override] # as a server looks it up
        self.asked.append(path)
        return super().get(path, default)


@pytest.fixture
def pages() -> Pages:
    return Pages()


@pytest.fixture
def server(tmp_path: Path, pages: Pages, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where kustomize itself would find a base, were it let."""
    pages["/base.yaml"] = Page(BASE.encode())
    with https_server(tmp_path, pages) as port:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        yield f"https://127.0.0.1:{port}"


def function(kind: str, spec: str) -> dict[str, str]:
    """A generator or transformer that kustomize would run."""
    text = (
        "{apiVersion: example.com/v1, kind: Make, metadata: {name: make, annotations:"
        f' {{config.kubernetes.io/function: "{spec}"}}}}}}'
    )
    return {"kustomization.yaml": f"{kind}: [make.yaml]\n", "make.yaml": text}


async def test_remote_bases_programs_and_paths_out_of_the_root_are_refused(
    start_engine: StartEngine,
    tools: Tools,
    namespace: str,
    server: str,
    pages: Pages,
    tmp_path: Path,
) -> None:
    ran, program, outside = tmp_path / "ran", tmp_path / "make", tmp_path / "outside.yaml"
    program.write_text(f"#!/bin/sh\n: > {ran}\n")
    program.chmod(stat.S_IRWXU)
    outside.write_text(BASE)
    work_dir = tmp_path / "work"
    out = "../" * 12  # from the folder in which the agent builds to the root of the file system
    refused = {
        "remote bases": {"kustomization.yaml": f"resources: ['{server}/base.yaml']\n"},
        "remote bases are": {
            "kustomization.yaml": f"components: ['{server}/apps.git//b?ref=v1']\n"
        },
        "functions": function("generators", f"exec: {{path: {program}}}"),
        "functions that": function("transformers", "container: {image: example.com/make}"),
        "helmCharts would fetch": {
            "kustomization.yaml": f"helmCharts: [{{name: web, repo: '{server}'}}]\n"
        },
        "is not known": {"kustomization.yaml": f"fetchFrom: ['{server}/base.yaml']\n"},
        "is outside": {"kustomization.yaml": f"resources: ['{outside}']\n"},
        "outside the overlay": {"kustomization.yaml": f"resources: ['{out}{outside}']\n"},
    }
    async with start_engine(
        work_dir=work_dir, max_attempts=2, private_hosts=frozenset({"127.0.0.1"})
    ) as running:
        for generation, (words, files) in enumerate(refused.items(), start=1):
            inline = Source(kustomize=KustomizeSource(files=files))
            release = Release("over", namespace, inline, generation=generation, revision=generation)
            running.submit(release.present())
            failed = await running.failed("over", generation)
            assert (failed.reason, failed.attempt) == (ReasonCode.BUILD_FAILED, 1), words
            assert words in failed.message
        assert pages.asked == []
        # What was downloaded and has the right digest is trusted no more.
        content = archive(refused["remote bases"])
        pages["/over.tgz"] = Page(content)
        packed = OverlayArchive(url=f"{server}/over.tgz", digest=digest_bytes(content))
        fetched = release.next(source=Source(kustomize=KustomizeSource(archive=packed)))
        running.submit(fetched.present())
        failed = await running.failed("over", fetched.generation)
        assert failed.reason is ReasonCode.BUILD_FAILED
    assert pages.asked == ["/over.tgz"]
    assert not ran.exists()
    assert not tools.exists("namespace", namespace)
