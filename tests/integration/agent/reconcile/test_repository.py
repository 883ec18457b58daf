"""Charts from an https repository: exact version, digest checked, certificate checked."""

from __future__ import annotations

import functools
import http.server
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from shared.contract.canonical import digest_bytes
from shared.contract.extension import HelmSource, Source
from shared.contract.reasons import ReasonCode
from tests.integration.agent.reconcile.conftest import StartEngine, Tools
from tests.integration.agent.reconcile.sources import Release, chart_archive

CONTENT = chart_archive(version="1.2.3")


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """The test's output is not the place for it."""


def self_signed(directory: Path) -> tuple[Path, Path]:
    """Certificate and key of a server on loopback."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "charts")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = directory / "cert.pem", directory / "key.pem"
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate_file, key_file


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The URL of a chart repository, and the certificate it shows."""
    root = tmp_path / "charts"
    root.mkdir()
    (root / "web-1.2.3.tgz").write_bytes(CONTENT)
    entry = {"name": "web", "version": "1.2.3", "apiVersion": "v2", "urls": ["web-1.2.3.tgz"]}
    index = {"apiVersion": "v1", "entries": {"web": [entry]}}
    (root / "index.yaml").write_text(yaml.safe_dump(index))
    certificate, key = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    handler = functools.partial(_Quiet, directory=str(root))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"https://127.0.0.1:{server.server_address[1]}", certificate
        server.shutdown()
        thread.join(10)


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
    async with start_engine(max_attempts=2) as running:
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
    async with start_engine(max_attempts=1) as running:
        running.submit(web(namespace, repository[0], digest_bytes(CONTENT)).present())
        failed = await running.failed("web")
        assert failed.reason is ReasonCode.ARTIFACT_FAILED
        assert "certificate" in failed.message
