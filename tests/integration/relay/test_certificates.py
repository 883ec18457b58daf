"""Renewal over the stream's certificate, and the relay's own certificate in renewal."""

from __future__ import annotations

from dataclasses import replace

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from relay.server import RelayServer
from shared.contract.errors import ErrorCode
from shared.rpc.status import code_in, retry_after_in
from shared.rpc.v1 import relay_pb2 as pb
from shared.rpc.v1 import relay_pb2_grpc as rpc
from tests.integration.relay.agents import Credential, channel, dialled, pem_of
from tests.integration.relay.test_attacks import refusal, revoke


def request(key: ec.EllipticCurvePrivateKey) -> str:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


async def renew(
    agent: Credential, port: int, key: ec.EllipticCurvePrivateKey
) -> pb.RenewCertificateResponse:
    async with channel(agent, port) as connection:
        return await rpc.AgentRelayStub(connection).RenewCertificate(
            pb.RenewCertificateRequest(csr=request(key)), timeout=10
        )


def with_renewed(
    agent: Credential, key: ec.EllipticCurvePrivateKey, answer: pb.RenewCertificateResponse
) -> Credential:
    return replace(
        agent,
        serial=answer.serial,
        private_key=pem_of(key),
        chain=answer.certificate_chain.encode(),
    )


async def test_a_renewed_certificate_opens_streams_and_then_the_old_one_does_not(
    relay: RelayServer, agent: Credential
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    answer = await renew(agent, relay.port, key)
    async with dialled(agent, relay.port):
        pass  # the new one was not seen yet: both are good
    async with dialled(with_renewed(agent, key, answer), relay.port) as link:
        assert link.welcome is not None
    assert (await refusal(agent, relay.port)).code() is grpc.StatusCode.UNAUTHENTICATED


async def test_an_answer_that_was_lost_is_given_again(
    relay: RelayServer, agent: Credential
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    answers = [await renew(agent, relay.port, key) for _ in range(4)]
    assert len({answer.serial for answer in answers}) == 1


async def test_more_than_one_a_minute_is_too_often(relay: RelayServer, agent: Credential) -> None:
    async def renew_again_and_again() -> None:
        for _ in range(4):
            await renew(agent, relay.port, ec.generate_private_key(ec.SECP256R1()))

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await renew_again_and_again()
    assert code_in(caught.value.trailing_metadata()) is ErrorCode.RATE_LIMITED
    assert (retry_after_in(caught.value.trailing_metadata()) or 0) > 1


async def test_a_revoked_certificate_renews_nothing(
    relay: RelayServer, agent: Credential, owner_postgres_url: str
) -> None:
    revoke(owner_postgres_url, agent)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await renew(agent, relay.port, ec.generate_private_key(ec.SECP256R1()))
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_request_that_is_none_is_refused(relay: RelayServer, agent: Credential) -> None:
    async with channel(agent, relay.port) as connection:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await rpc.AgentRelayStub(connection).RenewCertificate(
                pb.RenewCertificateRequest(csr="nonsense"), timeout=10
            )
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_the_relay_renews_its_own_certificate_and_open_streams_live_on(
    relay: RelayServer, agent: Credential
) -> None:
    async with dialled(agent, relay.port, instance="a") as link:
        stream = relay.registry.get(agent.key)
        for _ in range(3):
            await relay._tls.renew()
            async with channel(agent, relay.port) as connection:
                await connection.channel_ready()
        await link.beat()
        assert relay.registry.get(agent.key) is stream
