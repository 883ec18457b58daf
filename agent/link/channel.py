"""One mTLS connection to the relay. Every attempt makes a new one, so that gRPC's own reconnecting
and back-off never come between the agent and its pacing."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc

from agent.credentials.identity import Identity
from agent.proxies import proxy_for
from shared.contract.limits import GRPC_MESSAGE_BYTES
from shared.rpc.v1 import relay_pb2_grpc

KEEPALIVE_SECONDS = 30
KEEPALIVE_TIMEOUT_SECONDS = 10


@asynccontextmanager
async def relay_stub(identity: Identity, address: str) -> AsyncIterator[Any]:
    """A stub of AgentRelay that presents the identity's certificate; closed with the block."""
    credentials = grpc.ssl_channel_credentials(
        root_certificates=identity.bundle_pem.encode(),
        private_key=identity.key_pem.encode(),
        certificate_chain=identity.chain_pem.encode(),
    )
    async with grpc.aio.secure_channel(address, credentials, options=_options(address)) as channel:
        new_stub: Any = relay_pb2_grpc.AgentRelayStub  # generated code carries no types
        yield new_stub(channel)


def _options(address: str) -> list[tuple[str, int | str]]:
    options: list[tuple[str, int | str]] = [
        ("grpc.keepalive_time_ms", KEEPALIVE_SECONDS * 1000),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_SECONDS * 1000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.max_receive_message_length", GRPC_MESSAGE_BYTES),
        ("grpc.max_send_message_length", GRPC_MESSAGE_BYTES),
        ("grpc.enable_retries", 0),
        # A channel of its own socket per attempt: a half-dead one is never picked up again.
        ("grpc.use_local_subchannel_pool", 1),
    ]
    # gRPC's own reading of the environment knows no upper-case names: it is told what to do.
    proxy = proxy_for(f"https://{address}", os.environ)
    options.append(("grpc.http_proxy", proxy) if proxy else ("grpc.enable_http_proxy", 0))
    return options
