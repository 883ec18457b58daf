"""Overlays from afar: by digest, from vetted addresses, or nothing is applied."""

from __future__ import annotations

import asyncio
import io
import json
import tarfile
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path

import pytest

from agent.drivers.download import Downloader, DownloadFailed, DownloadPolicy
from shared.contract.canonical import digest_bytes
from shared.contract.kustomize_source import KustomizeSource, OverlayArchive
from shared.contract.reasons import ReasonCode
from shared.contract.source import Source
from shared.contract.states import ExtensionPhase
from tests.integration.agent.reconcile.conftest import StartEngine, Tools
from tests.integration.agent.reconcile.connect_proxy import connect_proxy
from tests.integration.agent.reconcile.https_server import NAME, Page, https_server
from tests.integration.agent.reconcile.sources import Release, archive

LOOPBACK = frozenset({"127.0.0.1"})
OVERLAY = archive(
    {
        "web/base/kustomization.yaml": "resources: [cm.yaml]\n",
        "web/base/cm.yaml": (
            "{apiVersion: v1, kind: ConfigMap, metadata: {name: settings}, data: {greeting: hello}}"
        ),
        "web/prod/kustomization.yaml": "resources: [../base]\nnamePrefix: prod-\n",
    }
)
LAYER_TYPE = "application/vnd.cncf.flux.content.v1.tar+gzip"
TOKEN = "Bearer for-everyone"


def manifest(**layer: object) -> bytes:
    own = {"mediaType": LAYER_TYPE, "digest": digest_bytes(OVERLAY), "size": len(OVERLAY)} | layer
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "x", "digest": digest_bytes(b""), "size": 0},
            "layers": [own],
        }
    ).encode()


MANIFEST = manifest()


@pytest.fixture
def pages() -> dict[str, Page]:
    """What the server gives out; tests add to it."""
    return {"/web.tgz": Page(OVERLAY)}


@pytest.fixture
def asked() -> list[str]:
    """What the server is asked for."""
    return []


@pytest.fixture
def server(
    tmp_path: Path, pages: dict[str, Page], asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[int]:
    """The port of a server whose certificate is believed."""
    with https_server(tmp_path, pages, asked) as port:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        yield port


def by_url(namespace: str, url: str, digest: str = digest_bytes(OVERLAY)) -> Release:
    chosen = KustomizeSource(archive=OverlayArchive(url=url, digest=digest), path="web/prod")
    return Release("web", namespace, Source(kustomize=chosen))


def by_reference(namespace: str, host: str, content: bytes) -> Release:
    reference = f"oci://{host}/team/web@{digest_bytes(content)}"
    return Release(
        "web", namespace, Source(kustomize=KustomizeSource(oci=reference, path="web/prod"))
    )


async def test_an_archive_is_what_its_digest_says_or_nothing_is_applied(
    start_engine: StartEngine, tools: Tools, namespace: str, server: int, pages: dict[str, Page],
    asked: list[str], tmp_path: Path,
) -> None:  # fmt: skip
    url = f"https://127.0.0.1:{server}/web.tgz?sig=planted-canary"
    pages["/web.tgz?sig=planted-canary"] = pages["/web.tgz"]
    async with start_engine(private_hosts=LOOPBACK) as running:
        wrong = by_url(namespace, url, "sha256:" + "0" * 64)
        running.submit(wrong.present())
        failed = await running.failed("web")
        assert failed.reason is ReasonCode.ARTIFACT_FAILED
        assert digest_bytes(OVERLAY) in failed.message
        assert "canary" not in failed.message
        assert not tools.exists("namespace", namespace)
        running.submit(wrong.next(source=by_url(namespace, url).source).present())
        await running.ready("web", 2)
    assert tools.get("cm", "prod-settings", "-n", namespace)["data"] == {"greeting": "hello"}
    page = pages.pop("/web.tgz?sig=planted-canary")
    async with start_engine(private_hosts=LOOPBACK) as restarted:
        restarted.submit(wrong.next(source=by_url(namespace, url).source).present())
        await restarted.ready("web", 2)

    # On another node nothing is kept, and the server does not have it yet.
    asked.clear()
    async with start_engine(private_hosts=LOOPBACK, work_dir=tmp_path / "elsewhere") as moved:
        moved.submit(wrong.next(source=by_url(namespace, url).source).present())
        async with asyncio.timeout(60):
            while len(asked) < 4:
                await asyncio.sleep(0.05)
        pages["/web.tgz?sig=planted-canary"] = page
        await moved.ready("web", 2)
        assert {event.phase for event in moved.events} == {ExtensionPhase.READY}


async def test_an_artifact_is_pulled_with_the_token_that_everyone_gets(
    start_engine: StartEngine, tools: Tools, namespace: str, server: int, pages: dict[str, Page]
) -> None:
    host = f"127.0.0.1:{server}"
    challenge = {"WWW-Authenticate": f'Bearer realm="https://{host}/token",service="registry"'}
    pages["/token?service=registry&scope=repository%3Ateam%2Fweb%3Apull"] = Page(
        json.dumps({"token": TOKEN.removeprefix("Bearer ")}).encode()
    )
    for path, content in {
        f"/v2/team/web/manifests/{digest_bytes(MANIFEST)}": MANIFEST,
        f"/v2/team/web/blobs/{digest_bytes(OVERLAY)}": OVERLAY,
    }.items():
        pages[path] = Page(content, headers=challenge, authorization=TOKEN)
    async with start_engine(private_hosts=LOOPBACK) as running:
        running.submit(by_reference(namespace, host, MANIFEST).present())
        await running.ready("web")
    assert tools.exists("cm", "prod-settings", "-n", namespace)


async def test_artifacts_that_are_not_one_good_archive_are_refused(
    start_engine: StartEngine, tools: Tools, namespace: str, server: int, pages: dict[str, Page]
) -> None:
    lies = manifest(digest=digest_bytes(b"other"), size=5)
    pages[f"/v2/team/web/blobs/{digest_bytes(b'other')}"] = Page(b"not the same")
    image = manifest(mediaType="application/vnd.oci.image.layer.v1.tar+zstd")
    huge = manifest(size=1 << 40)
    forged = b'{"layers": []}'
    bad = {"digest": lies, "gzipped": image, "larger": huge, "one layer": forged}
    for content in bad.values():
        pages[f"/v2/team/web/manifests/{digest_bytes(content)}"] = Page(content)
    async with start_engine(private_hosts=LOOPBACK) as running:
        for generation, (words, content) in enumerate(bad.items(), start=1):
            release = by_reference(namespace, f"127.0.0.1:{server}", content)
            running.submit(release.next(generation=generation, revision=generation).present())
            failed = await running.failed("web", generation)
            assert failed.reason is ReasonCode.ARTIFACT_FAILED
            assert words in failed.message
    assert not tools.exists("namespace", namespace)


async def test_archives_with_links_or_paths_out_of_their_root_are_refused(
    start_engine: StartEngine, tools: Tools, namespace: str, server: int, pages: dict[str, Page]
) -> None:
    link = tarfile.TarInfo("web/prod/kustomization.yaml")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        tar.addfile(link)
    bad = (packed.getvalue(), archive({"web/../../out.yaml": "x"}), b"junk")
    async with start_engine(private_hosts=LOOPBACK) as running:
        for generation, content in enumerate(bad, start=1):
            pages[f"/{generation}"] = Page(content)
            url = f"https://127.0.0.1:{server}/{generation}"
            release = by_url(namespace, url, digest_bytes(content))
            running.submit(release.next(generation=generation, revision=generation).present())
            failed = await running.failed("web", generation)
            assert failed.reason is ReasonCode.ARTIFACT_FAILED
    assert not tools.exists("namespace", namespace)


async def test_a_private_host_that_nobody_named_is_not_even_asked(
    start_engine: StartEngine, namespace: str, server: int, tmp_path: Path
) -> None:
    async with start_engine(work_dir=tmp_path / "nothing-kept") as running:
        running.submit(by_url(namespace, f"https://127.0.0.1:{server}/web.tgz").present())
        failed = await running.failed("web")
    assert failed.reason is ReasonCode.ARTIFACT_FAILED
    assert "private or loopback" in failed.message


async def test_a_redirect_is_vetted_like_the_first_url(server: int, pages: dict[str, Page]) -> None:
    downloader = Downloader(DownloadPolicy(private_hosts=LOOPBACK, seconds=10))
    here = f"https://127.0.0.1:{server}"
    pages["/away"] = Page(status=302, headers={"Location": "/web.tgz"})
    assert (await downloader.get(f"{here}/away", limit=1 << 20)).content == OVERLAY
    for target, words in {
        f"http://127.0.0.1:{server}/web.tgz": "only https",
        f"https://localhost:{server}/web.tgz": "private or loopback",
        "https://169.254.169.254/latest/meta-data": "metadata",
        "/loop": "redirects",
    }.items():
        pages["/loop"] = Page(status=302, headers={"Location": target})
        with pytest.raises(DownloadFailed, match=words) as caught:
            await downloader.get(f"{here}/loop", limit=1 << 20)
        assert caught.value.final


async def test_what_is_larger_than_the_limit_is_not_read_to_its_end(
    server: int, pages: dict[str, Page]
) -> None:
    downloader = Downloader(DownloadPolicy(private_hosts=LOOPBACK, seconds=10))
    pages["/huge"] = Page(b"0" * (4 << 20))
    with pytest.raises(DownloadFailed, match="larger than 1024 bytes"):
        await downloader.get(f"https://127.0.0.1:{server}/huge", limit=1024)


async def test_the_connection_goes_to_the_address_that_was_vetted(server: int) -> None:
    answers = [["127.0.0.1"], ["169.254.169.254"]]

    async def rebinding(_host: str, _port: int) -> list[str]:
        return answers.pop(0)

    policy = DownloadPolicy(private_hosts=frozenset({NAME}), seconds=10)
    downloader = Downloader(policy, resolve=rebinding)
    url = f"https://{NAME}:{server}/web.tgz"
    assert (await downloader.get(url, limit=1 << 20)).content == OVERLAY
    with pytest.raises(DownloadFailed, match="metadata"):
        await downloader.get(url, limit=1 << 20)


async def test_the_certificate_has_to_be_the_name_s(server: int) -> None:
    async def here(_host: str, _port: int) -> list[str]:
        return ["127.0.0.1"]

    policy = DownloadPolicy(private_hosts=frozenset({"other.example.org"}), seconds=10)
    with pytest.raises(DownloadFailed, match="certificate"):
        await Downloader(policy, resolve=here).get(
            f"https://other.example.org:{server}/web.tgz", limit=1 << 20
        )


async def test_only_hosts_that_were_named_are_asked_for_through_a_proxy(
    server: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nowhere(_host: str, _port: int) -> list[str]:
        raise OSError("no such name")

    async with connect_proxy(server) as (proxy, asked):
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        monkeypatch.setenv("NO_PROXY", "localhost")
        policy = DownloadPolicy(private_hosts=frozenset({NAME}), seconds=10)
        downloader = Downloader(policy, resolve=nowhere)
        url = f"https://{NAME}:{server}/web.tgz"
        assert (await downloader.get(url, limit=1 << 20)).content == OVERLAY
        assert asked == [f"{NAME}:{server}"]
        with pytest.raises(DownloadFailed, match="no such name"):
            await downloader.get("https://other.example/web.tgz", limit=1 << 20)
        assert len(asked) == 1


async def test_a_private_range_may_be_allowed_whatever_the_host_is_called(server: int) -> None:
    async def here(_host: str, _port: int) -> list[str]:
        return ["127.0.0.1"]

    loopback = (ip_network("127.0.0.0/8"), ip_network("169.254.0.0/16"))
    policy = DownloadPolicy(private_networks=loopback, seconds=10)
    url = f"https://{NAME}:{server}/web.tgz"
    assert (await Downloader(policy, resolve=here).get(url, limit=1 << 20)).content == OVERLAY
    with pytest.raises(DownloadFailed, match="metadata"):
        await Downloader(policy).get("https://169.254.169.254/latest", limit=1 << 20)
