"""Credentials by reference: sent to the hosts that the Secret names, and seen nowhere else."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.reconcile.seam import ReconcileSettings
from shared.contract.artifact import CredentialsReference
from shared.contract.canonical import digest_bytes
from shared.contract.helm_source import HelmSource
from shared.contract.kustomize_source import KustomizeSource, OverlayArchive
from shared.contract.reasons import ReasonCode
from shared.contract.source import Source
from tests.integration.agent.reconcile.conftest import StartEngine, Tools
from tests.integration.agent.reconcile.https_server import Page, https_server
from tests.integration.agent.reconcile.sources import Release, archive, chart_archive

HOST = "127.0.0.1"
PASSWORD = "planted-canary-pass"
BASIC = "Basic " + base64.b64encode(f"robot:{PASSWORD}".encode()).decode()
BEARER = "Bearer planted-canary-token"
CHART = chart_archive(version="1.2.3")
OVERLAY = archive(
    {
        "kustomization.yaml": "resources: [cm.yaml]\n",
        "cm.yaml": "{apiVersion: v1, kind: ConfigMap, metadata: {name: settings}, data: {a: b}}\n",
    }
)
CHART_LAYER = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
REFERENCE = CredentialsReference(name="registry")


@dataclass
class Server:
    """A server that wants to know who asks."""

    port: int
    pages: dict[str, Page]

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    pages: dict[str, Page] = {}
    with https_server(tmp_path, pages) as port:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        index = {"entries": {"web": [{"version": "1.2.3", "urls": ["charts/web.tgz"]}]}}
        pages["/index.yaml"] = Page(yaml.safe_dump(index).encode(), authorization=BASIC)
        pages["/charts/web.tgz"] = Page(CHART, authorization=BASIC)
        pages["/overlay.tgz"] = Page(OVERLAY, authorization=BASIC)
        yield Server(port, pages)


def registry_pages(server: Server, challenge: str) -> None:
    """A registry with one chart, behind a token or a password."""
    layer = {"mediaType": CHART_LAYER, "digest": digest_bytes(CHART), "size": len(CHART)}
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "layers": [layer],
        }
    ).encode()
    token = Page(json.dumps({"token": BEARER.removeprefix("Bearer ")}).encode())
    wanted = BASIC if challenge.startswith("Basic") else BEARER
    headers = {"WWW-Authenticate": challenge}
    server.pages |= {
        "/v2/team/web/manifests/1.2.3": Page(manifest, headers=headers, authorization=wanted),
        f"/v2/team/web/blobs/{digest_bytes(CHART)}": Page(
            CHART, headers=headers, authorization=wanted
        ),
        "/token?service=r&scope=repository%3Ateam%2Fweb%3Apull": Page(
            token.content, authorization=BASIC
        ),
    }


def secret(
    tools: Tools,
    namespace: str,
    hosts: str | None,
    *,
    label: str = "artifacts",
    data: dict[str, str] | None = None,
) -> None:
    """A Secret that may be sent to `hosts`."""
    body: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": "registry",
            "namespace": namespace,
            "labels": {"arcbridge.io/credentials-for": label},
            "annotations": {} if hosts is None else {"arcbridge.io/hosts": hosts},
        },
        "stringData": data or {"username": "robot", "password": PASSWORD},
    }
    home = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    tools.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all([home, body]))


def chart(namespace: str, server: Server, **changes: Any) -> Release:
    source = {
        "repo": f"https://{server.address}",
        "chart": "web",
        "version": "1.2.3",
        "credentials_ref": REFERENCE,
        **changes,
    }
    return Release("web", namespace, Source(helm=HelmSource.model_validate(source)))


async def test_a_private_repository_registry_and_archive_are_reached_and_nobody_hears_the_password(
    start_engine: StartEngine,
    tools: Tools,
    namespace: str,
    server: Server,
    settings: ReconcileSettings,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    secret(tools, namespace, server.address)
    registry_pages(server, f'Bearer realm="https://{server.address}/token",service="r"')
    release = chart(namespace, server)
    registry = chart(namespace, server, repo=f"oci://{server.address}/team").source
    overlay = KustomizeSource(
        archive=OverlayArchive(
            url=f"https://{server.address}/overlay.tgz", digest=digest_bytes(OVERLAY)
        ),
        credentials_ref=REFERENCE,
    )
    work_dir = tmp_path / "work"
    async with start_engine(private_hosts=frozenset({HOST}), work_dir=work_dir) as running:
        running.submit(release.present())
        await running.ready("web")
        running.submit(release.next(source=registry).present())
        await running.ready("web", 2)
        assert [e["chart"] for e in tools.history("web", namespace)] == ["web-1.2.3"] * 2
        running.submit(release.next(generation=3, source=Source(kustomize=overlay)).present())
        await running.ready("web", 3)
        assert tools.exists("cm", "settings", "-n", namespace)
    told = "".join(event.model_dump_json() for event in running.events)
    kept = "".join(
        path.read_bytes().decode(errors="replace") for path in work_dir.rglob("*") if path.is_file()
    )
    records = tools.kubectl("get", "cm", "-n", settings.state_namespace, "-o", "yaml")
    output = capfd.readouterr()
    for place in (told, kept, records, output.out, output.err):
        for planted in (PASSWORD, BASIC.split()[1], BEARER.split()[1]):
            assert planted not in place


@pytest.mark.parametrize(
    ("hosts", "label", "words"),
    [
        (None, "artifacts", "does not say where it may be sent"),
        (HOST, "something-else", "not meant for this"),
    ],
)
async def test_a_secret_that_is_not_meant_for_it_is_not_used(
    start_engine: StartEngine,
    tools: Tools,
    namespace: str,
    server: Server,
    hosts: str | None,
    label: str,
    words: str,
) -> None:
    secret(tools, namespace, hosts, label=label)
    async with start_engine(private_hosts=frozenset({HOST}), max_attempts=1) as running:
        running.submit(chart(namespace, server).present())
        failed = await running.failed("web")
    assert failed.reason is ReasonCode.CREDENTIALS_UNUSABLE
    assert words in failed.message
    assert PASSWORD not in failed.message


async def test_secrets_of_other_namespaces_and_missing_ones_are_told_apart_and_shared_ones_work(
    start_engine: StartEngine,
    tools: Tools,
    namespace: str,
    server: Server,
    settings: ReconcileSettings,
) -> None:
    def of(place: str | None, generation: int) -> Release:
        reference = CredentialsReference(name="registry", namespace=place)
        release = chart(namespace, server, credentials_ref=reference)
        return release.next(generation=generation, revision=generation)

    secret(tools, settings.state_namespace, server.address)
    async with start_engine(private_hosts=frozenset({HOST}), max_attempts=1) as running:
        for generation, (place, words) in enumerate(
            (("kube-system", "neither in the extension's"), (None, "there is no Secret")), start=1
        ):
            running.submit(of(place, generation).present())
            failed = await running.failed("web", generation)
            assert failed.reason is ReasonCode.CREDENTIALS_UNUSABLE
            assert words in failed.message
        running.submit(of(settings.state_namespace, 3).present())
        await running.ready("web", 3)


async def test_a_secret_is_never_sent_to_a_host_that_it_does_not_name(
    start_engine: StartEngine, tools: Tools, namespace: str, server: Server, tmp_path: Path
) -> None:
    """Whether the extension's author, a redirect or the registry's realm leads there."""
    private = {"private_hosts": frozenset({HOST, "localhost"}), "work_dir": tmp_path / "work"}
    elsewhere = f"localhost:{server.port}"
    seen = "/seen/charts/web.tgz"
    server.pages |= {
        seen: Page(CHART, authorization=BASIC),
        "/away/index.yaml": Page(
            yaml.safe_dump(
                {"entries": {"web": [{"version": "1.2.3", "urls": [f"https://{elsewhere}{seen}"]}]}}
            ).encode(),
            authorization=BASIC,
        ),
    }
    registry_pages(server, f'Bearer realm="https://{elsewhere}/token",service="r"')
    secret(tools, namespace, server.address)
    author = chart(namespace, server, repo=f"https://{elsewhere}").source
    index = chart(namespace, server, repo=f"https://{server.address}/away").source
    realm = chart(namespace, server, repo=f"oci://{server.address}/team").source
    async with start_engine(**private, max_attempts=1) as running:
        for generation, (source, words) in enumerate(
            (
                (author, "it wants credentials"),
                (index, "it wants credentials"),
                (realm, "sent to localhost"),
            ),
            start=1,
        ):
            release = chart(namespace, server).next(generation=generation, revision=generation)
            running.submit(release.next(source=source, generation=generation).present())
            failed = await running.failed("web", generation)
            assert failed.reason is ReasonCode.ARTIFACT_FAILED
            assert words in failed.message


async def test_a_registry_that_takes_passwords_gets_the_one_of_a_docker_configuration(
    start_engine: StartEngine, tools: Tools, namespace: str, server: Server
) -> None:
    registry_pages(server, 'Basic realm="registry"')
    auths = {server.address: {"username": "robot", "password": PASSWORD}}
    config = {".dockerconfigjson": json.dumps({"auths": auths})}
    secret(tools, namespace, None, data=config)
    async with start_engine(private_hosts=frozenset({HOST})) as running:
        running.submit(chart(namespace, server, repo=f"oci://{server.address}/team").present())
        await running.ready("web")


async def test_a_login_that_is_refused_is_told_by_the_secret_s_name(
    start_engine: StartEngine, tools: Tools, namespace: str, server: Server
) -> None:
    secret(tools, namespace, server.address, data={"username": "robot", "password": "wrong-one"})
    async with start_engine(private_hosts=frozenset({HOST})) as running:
        running.submit(chart(namespace, server).present())
        failed = await running.failed("web")
    assert f"the login of the Secret {namespace}/registry is refused" in failed.message
    assert "wrong-one" not in failed.message


async def test_a_chart_that_was_fetched_with_a_login_is_not_given_to_who_has_none(
    start_engine: StartEngine, tools: Tools, namespace: str, server: Server
) -> None:
    secret(tools, namespace, server.address)
    async with start_engine(private_hosts=frozenset({HOST}), max_attempts=1) as running:
        release = chart(namespace, server)
        running.submit(release.present())
        await running.ready("web")
        anyone = chart(namespace, server, credentials_ref=None)
        running.submit(release.next(source=anyone.source).present())
        assert (await running.failed("web", 2)).reason is ReasonCode.ARTIFACT_FAILED
