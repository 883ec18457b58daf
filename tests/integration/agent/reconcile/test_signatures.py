"""Artifacts that a key has to vouch for: signed as cosign signs, or nothing is applied."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from agent.drivers.artifacts import Registry
from agent.drivers.download import Downloader, DownloadFailed, DownloadPolicy
from shared.contract.canonical import digest_bytes
from tests.integration.agent.reconcile.https_server import Page, https_server
from tests.integration.agent.reconcile.sources import archive, chart_archive

KEY = ec.generate_private_key(ec.SECP256R1())
OTHER = ec.generate_private_key(ec.SECP256R1())
LIMIT = 1 << 20
CHART = chart_archive()
OVERLAY = archive({"kustomization.yaml": "resources: []\n"})


def pem(key: ec.EllipticCurvePrivateKey) -> str:
    return (
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


def manifest(content: bytes, media_type: str) -> bytes:
    layer = {"mediaType": media_type, "digest": digest_bytes(content), "size": len(content)}
    config = {"mediaType": "x", "digest": digest_bytes(b""), "size": 0}
    return json.dumps({"schemaVersion": 2, "config": config, "layers": [layer]}).encode()


CHART_MANIFEST = manifest(CHART, "application/vnd.cncf.helm.chart.content.v1.tar+gzip")
OVERLAY_MANIFEST = manifest(OVERLAY, "application/vnd.cncf.flux.content.v1.tar+gzip")


def signed(
    digest: str, key: ec.EllipticCurvePrivateKey, *, said: str | None = None
) -> dict[str, Page]:
    """The pages that `cosign sign --key` would put beside an artifact."""
    critical = {
        "identity": {"docker-reference": "registry.example.org/team/web"},
        "image": {"docker-manifest-digest": said or digest},
        "type": "cosign container image signature",
    }
    payload = json.dumps({"critical": critical, "optional": None}).encode()
    signature = base64.b64encode(key.sign(payload, ec.ECDSA(hashes.SHA256()))).decode()
    layer = {
        "mediaType": "application/vnd.dev.cosign.simplesigning.v1+json",
        "size": len(payload),
        "digest": digest_bytes(payload),
        "annotations": {"dev.cosignproject.cosign/signature": signature},
    }
    beside = {"schemaVersion": 2, "layers": [layer]}
    return {
        f"/v2/team/web/manifests/{digest.replace(':', '-')}.sig": Page(json.dumps(beside).encode()),
        f"/v2/team/web/blobs/{digest_bytes(payload)}": Page(payload),
    }


@pytest.fixture
def pages() -> dict[str, Page]:
    return {
        "/v2/team/web/manifests/1.0.0": Page(CHART_MANIFEST),
        f"/v2/team/web/manifests/{digest_bytes(OVERLAY_MANIFEST)}": Page(OVERLAY_MANIFEST),
        f"/v2/team/web/blobs/{digest_bytes(CHART)}": Page(CHART),
        f"/v2/team/web/blobs/{digest_bytes(OVERLAY)}": Page(OVERLAY),
    }


@pytest.fixture
def host(tmp_path: Path, pages: dict[str, Page], monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with https_server(tmp_path, pages) as port:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        yield f"127.0.0.1:{port}"


@pytest.fixture
def registry() -> Registry:
    policy = DownloadPolicy(private_hosts=frozenset({"127.0.0.1"}), seconds=20)
    return Registry(Downloader(policy))


async def chart(registry: Registry, host: str, key: ec.EllipticCurvePrivateKey) -> bytes:
    return await registry.pull_chart(
        f"oci://{host}/team", "web", "1.0.0", limit=LIMIT, credentials=None, cosign_key=pem(key)
    )


async def test_what_the_key_has_signed_is_taken(
    registry: Registry, host: str, pages: dict[str, Page]
) -> None:
    pages |= signed(digest_bytes(CHART_MANIFEST), KEY)
    assert await chart(registry, host, KEY) == CHART
    pages |= signed(digest_bytes(OVERLAY_MANIFEST), KEY)
    reference = f"oci://{host}/team/web@{digest_bytes(OVERLAY_MANIFEST)}"
    assert await registry.pull(reference, limit=LIMIT, cosign_key=pem(KEY)) == OVERLAY


async def test_what_nobody_has_signed_is_refused_for_good(registry: Registry, host: str) -> None:
    with pytest.raises(DownloadFailed, match="has no cosign signature") as caught:
        await chart(registry, host, KEY)
    assert caught.value.final


async def test_another_keys_signature_or_one_of_another_artifact_vouches_for_nothing(
    registry: Registry, host: str, pages: dict[str, Page]
) -> None:
    digest = digest_bytes(CHART_MANIFEST)
    pages |= signed(digest, OTHER)
    with pytest.raises(DownloadFailed, match=r"no cosign signature of .* is of the key given"):
        await chart(registry, host, KEY)
    pages |= signed(digest, KEY, said=digest_bytes(b"another artifact"))
    with pytest.raises(DownloadFailed, match=r"no cosign signature of .* is of the key given"):
        await chart(registry, host, KEY)


async def test_a_signature_is_over_its_own_bytes_and_junk_is_none(
    registry: Registry, host: str, pages: dict[str, Page]
) -> None:
    digest = digest_bytes(CHART_MANIFEST)
    pages |= signed(digest, KEY)
    path = f"/v2/team/web/manifests/{digest.replace(':', '-')}.sig"
    beside = json.loads(pages[path].content)
    beside["layers"][0]["annotations"] = {"dev.cosignproject.cosign/signature": "not base64!"}
    pages[path] = Page(json.dumps(beside).encode())
    with pytest.raises(DownloadFailed, match="is of the key given"):
        await chart(registry, host, KEY)
    pages[path] = Page(b"junk")
    with pytest.raises(DownloadFailed, match="no manifest of signatures"):
        await chart(registry, host, KEY)
