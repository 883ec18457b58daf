"""A stand-in for Key Vault over HTTPS: its challenge, its keys, its sign operation, and its faults.

Azure's own client talks to it. It holds versions of a P-256 key and signs digests, as the real one
does; it knows no access policies.
"""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

KEY_PATH = "/keys/issuing/0123456789abcdef0123456789abcdef"
NEXT_KEY_PATH = "/keys/issuing/fedcba9876543210fedcba9876543210"
TOKEN = "a-token-of-the-identity-provider"


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class KeyVault:
    """What it holds, and how it behaves just now."""

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self.keys = {KEY_PATH: key}
        """By the path of their version."""
        self.status = 200
        self.delay_seconds = 0.0
        self.signatures = 0
        self.url = ""

    def answer(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        version = path.removesuffix("/sign")
        kid = f"{self.url}{version}"
        if version == path:
            numbers = self.keys[version].public_key().public_numbers()
            x, y = (b64(n.to_bytes(32, "big")) for n in (numbers.x, numbers.y))
            key = {"kid": kid, "kty": "EC-HSM", "crv": "P-256", "x": x, "y": y}
            return {"key": {**key, "key_ops": ["sign"]}, "attributes": {"enabled": True}}
        assert body["alg"] == "ES256"
        digest = base64.urlsafe_b64decode(body["value"] + "==")
        der = self.keys[version].sign(digest, ec.ECDSA(utils.Prehashed(hashes.SHA256())))
        r, s = utils.decode_dss_signature(der)
        self.signatures += 1
        return {"kid": kid, "value": b64(r.to_bytes(32, "big") + s.to_bytes(32, "big"))}


def handler(vault: KeyVault) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._serve(b"")

        def do_POST(self) -> None:
            self._serve(self.rfile.read(int(self.headers.get("Content-Length", 0))))

        def _serve(self, raw: bytes) -> None:
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                challenge = (
                    'Bearer authorization="https://login.example.org/directory",'
                    ' resource="https://vault.azure.net"'
                )
                self._send(401, {"error": {"code": "Unauthorized"}}, challenge)
                return
            time.sleep(vault.delay_seconds)
            if vault.status != 200:
                self._send(vault.status, {"error": {"code": "Forbidden", "message": "no"}})
                return
            path = self.path.partition("?")[0]
            self._send(200, vault.answer(path, json.loads(raw) if raw else {}))

        def _send(self, status: int, body: dict[str, Any], challenge: str = "") -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            if challenge:
                self.send_header("WWW-Authenticate", challenge)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: object) -> None:
            """Nothing: the tests look at what the client makes of it."""

    return Handler


@contextmanager
def serving(vault: KeyVault, certificate: Path) -> Iterator[None]:
    """Serve on a free port of localhost, with the certificate and key in one PEM file."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(vault))
    server.daemon_threads = True
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    vault.url = f"https://localhost:{server.server_address[1]}"
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
