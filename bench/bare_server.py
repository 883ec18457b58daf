"""A bare `grpc.aio` TLS server for the same protocol: what the relay's work is measured against.

It demands client certificates, answers Hello with Welcome, counts what comes and does nothing else.
`python -m bench.bare_server DIR READY_FILE`; the CA lies in DIR. Serves until it is killed.
"""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from shared.identity.file_issuer import FileIssuer
from shared.rpc.v1 import relay_pb2 as pb
from shared.rpc.v1 import relay_pb2_grpc as rpc


class Bare(rpc.AgentRelayServicer):
    """Reads."""

    async def Connect(self, _requests: Any, context: Any) -> None:
        await context.read()
        await context.write(pb.RelayMessage(welcome=pb.Welcome(session_epoch=1)))
        while isinstance(await context.read(), pb.AgentMessage):
            pass


async def serve(directory: Path, ready_file: Path) -> None:
    """Serve for ever."""
    issuer = FileIssuer(directory)
    key = ec.generate_private_key(ec.SECP256R1())
    issued = await issuer.issue_server(
        key.public_key(), host_names=("localhost",), now=datetime.now(UTC)
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    server = grpc.aio.server()
    rpc.add_AgentRelayServicer_to_server(Bare(), server)
    credentials = grpc.ssl_server_credentials(
        [(private, issued.pem_chain.encode())],
        issuer.authority.bundle.encode(),
        require_client_auth=True,
    )
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    partial = ready_file.with_suffix(".partial")
    partial.write_text(json.dumps({"port": port}))
    partial.rename(ready_file)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), Path(sys.argv[2])))
