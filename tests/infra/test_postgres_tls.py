"""The database URL that Bicep gives: the server's certificate is checked, with the system's roots.

The bundled libpq has a folder of its own for roots, which no system fills; SSL_CERT_FILE names the
file. Nothing but the first packets of PostgreSQL's protocol is needed to see who refuses whom.
"""

from __future__ import annotations

import secrets
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from shared.identity import certificates
from tests.infra.bicep import BICEP

QUERY = "sslmode=verify-full&sslrootcert=system"
SSL_REQUEST_BYTES = 8
REFUSAL = b"SFATAL\0C28000\0Mthe handshake was done\0\0"
CONNECT = "import psycopg, sys; psycopg.connect(sys.argv[1], connect_timeout=10)"


def serial() -> int:
    return certificates.serial_from(secrets.token_bytes(certificates.SERIAL_BYTES))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[int]:
    """The port of a server with a certificate for `localhost`, whose root is in `root.pem`."""
    now, day = datetime.now(UTC), timedelta(days=1)
    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root = certificates.authority(
        root_key.public_key(), common_name="r", issuer=None, serial=serial(), now=now, lifetime=day
    ).sign(root_key, hashes.SHA256())
    leaf = certificates.server_leaf(
        key.public_key(), host_names=("localhost",), issuer=root, serial=serial(), now=now,
        lifetime=day,
    ).sign(root_key, hashes.SHA256())  # fmt: skip
    (tmp_path / "root.pem").write_text(certificates.certificate_pem(root))
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    own = tmp_path / "server.pem"
    own.write_bytes(pem + certificates.certificate_pem(leaf).encode())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own)
    with socket.create_server(("localhost", 0)) as listening:
        thread = threading.Thread(target=refuse_one, args=(listening, context))
        thread.start()
        yield listening.getsockname()[1]
        thread.join(timeout=15)


def refuse_one(listening: socket.socket, context: ssl.SSLContext) -> None:
    """Let one client shake hands, then refuse it in PostgreSQL's way."""
    listening.settimeout(10)
    connection, _ = listening.accept()
    with connection:
        connection.settimeout(10)
        connection.recv(SSL_REQUEST_BYTES)
        connection.sendall(b"S")
        with suppress(OSError), context.wrap_socket(connection, server_side=True) as secured:
            secured.recv(4096)
            secured.sendall(b"E" + (len(REFUSAL) + 4).to_bytes(4, "big") + REFUSAL)


def connect(port: int, environ: dict[str, str]) -> str:
    url = f"postgresql://me:x@localhost:{port}/db?{QUERY}"
    done = subprocess.run(
        [sys.executable, "-c", CONNECT, url],
        env=environ, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    return done.stderr


@pytest.mark.parametrize("module", ["functions.bicep", "relay.bicep", "database-job.bicep"])
def test_every_program_is_told_so(module: str) -> None:
    source = (BICEP / "modules" / module).read_text()
    assert QUERY in source
    assert "'SSL_CERT_FILE'" in source


def test_a_certificate_of_the_systems_roots_is_accepted(server: int, tmp_path: Path) -> None:
    said = connect(server, {"SSL_CERT_FILE": str(tmp_path / "root.pem")})
    assert "the handshake was done" in said


def test_another_certificate_is_refused(server: int) -> None:
    assert "certificate verify failed" in connect(server, {})
