"""Charts from an https repository: exact version, digest checked, certificate checked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from shared.contract.canonical import digest_bytes
from shared.contract.helm_source import HelmSource
from shared.contract.reasons import ReasonCode
from shared.contract.source import Source
from tests.integration.agent.reconcile.conftest import StartEngine, Tools
from tests.integration.agent.reconcile.https_server import Page, https_server
from tests.integration.agent.reconcile.sources import Release, chart_archive

CONTENT = chart_archive(version="1.2.3")
LOOPBACK = frozenset({"127.0.0.1"})


@pytest.fixture
def pages() -> dict[str, Page]:
    """What the repository gives out; tests add to it."""
    # What the chart installs has a version, too.
    common = {"name": "web", "apiVersion": "v2", "appVersion": "1.2.3"}
    entries = [
        {**common, "version": version, "urls": [f"web-{version}.tgz"]}
        for version in ("2.0.0", "1.2.3", "1.2.2")
    ]
    index = {"apiVersion": "v1", "entries": {"web": entries}}
    return {
        "/web-2.0.0.tgz": Page(chart_archive(version="2.0.0")),
        "/web-1.2.3.tgz": Page(CONTENT),
        "/index.yaml": Page(yaml.safe_dump(index).encode()),
    }


@pytest.fixture
def repository(tmp_path: Path, pages: dict[str, Page]) -> Iterator[tuple[str, Path]]:
    """The URL of a chart repository, and the certificate it shows."""
    with https_server(tmp_path, pages) as port:
        yield f"https://127.0.0.1:{port}", tmp_path / "cert.pem"


def web(namespace: str, url: str, digest: str, version: str = "1.2.3") -> Release:
    source = HelmSource(repo=url, chart="web", version=version, digest=digest)
    return Release("web", namespace, Source(helm=source))


async def test_a_chart_from_a_repository_is_what_its_digest_says_or_nothing_is_applied(
    start_engine: StartEngine,
    tools: Tools,
    namespace: str,
    repository: tuple[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url, certificate = repository
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with start_engine(max_attempts=2, private_hosts=LOOPBACK) as running:
        wrong = web(namespace, url, "sha256:" + "0" * 64)
        running.submit(wrong.present())
        failed = await running.failed("web")
        assert failed.reason is ReasonCode.ARTIFACT_FAILED
        assert digest_bytes(CONTENT) in failed.message
        assert not tools.exists("namespace", namespace)
        right = wrong.next(source=web(namespace, url, digest_bytes(CONTENT)).source)
        running.submit(right.present())
        ready = await running.ready("web", 2)
        assert ready.seconds is not None
        assert tools.history("web", namespace)[-1]["chart"] == "web-1.2.3"


async def test_a_repository_with_an_unknown_certificate_is_not_believed(
    start_engine: StartEngine, namespace: str, repository: tuple[str, Path]
) -> None:
    async with start_engine(max_attempts=1, private_hosts=LOOPBACK) as running:
        running.submit(web(namespace, repository[0], digest_bytes(CONTENT)).present())
        failed = await running.failed("web")
        assert failed.reason is ReasonCode.ARTIFACT_FAILED
        assert "certificate" in failed.message


async def test_no_chart_is_fetched_from_an_address_inside_the_cluster_s_network(
    start_engine: StartEngine,
    tools: Tools,
    namespace: str,
    repository: tuple[str, Path],
    pages: dict[str, Page],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Whether the extension, a redirect, the index or a registry leads there."""
    url, certificate = repository
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    metadata = "https://169.254.169.254/latest/meta-data"
    localhost = url.replace("127.0.0.1", "localhost")
    pages["/away/index.yaml"] = Page(status=302, headers={"Location": f"{localhost}/index.yaml"})
    entry = {"version": "1.2.3", "urls": [metadata]}
    pages["/inside/index.yaml"] = Page(yaml.safe_dump({"entries": {"web": [entry]}}).encode())
    pages["/blob/index.yaml"] = pages["/index.yaml"]
    pages["/blob/web-1.2.3.tgz"] = Page(status=307, headers={"Location": metadata})
    places = {
        localhost: "private or loopback",
        f"{url}/away": "private or loopback",
        f"{url}/inside": "metadata",
        f"{url}/blob": "metadata",
        "https://169.254.169.254": "metadata",
        "oci://169.254.169.254/team": "metadata",
        "oci://10.0.0.1:5000/team": "private or loopback",
    }
    work_dir = tmp_path / "nothing-kept"
    async with start_engine(private_hosts=LOOPBACK, work_dir=work_dir) as running:
        for generation, (repo, words) in enumerate(places.items(), start=1):
            release = web(namespace, url, digest_bytes(CONTENT)).next(
                source=web(namespace, repo, digest_bytes(CONTENT)).source,
                generation=generation,
                revision=generation,
            )
            running.submit(release.present())
            failed = await running.failed("web", generation)
            assert failed.reason is ReasonCode.ARTIFACT_FAILED
            assert words in failed.message
    assert not tools.exists("namespace", namespace)
