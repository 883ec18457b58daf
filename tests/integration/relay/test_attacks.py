"""The rows of the attack table that aim at the stream, each played against a running relay."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import grpc
import psycopg
import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from relay.server import RelayServer
from relay.settings import RelaySettings
from shared.contract.errors import ErrorCode
from shared.contract.limits import GRPC_MESSAGE_BYTES, INVENTORY_CHUNK_BYTES
from shared.identity import devca
from shared.identity.file_issuer import FileIssuer
from shared.rpc.status import REASON_KEY, code_in, retry_after_in
from shared.rpc.v1 import relay_pb2 as pb
from shared.rpc.v1 import relay_pb2_grpc as rpc
from shared.services.cluster_key import ClusterKey
from tests.integration.relay.agents import (
    Credential,
    Link,
    add_cluster,
    channel,
    dialled,
    issue,
    odd_certificate,
    store,
)
from tests.integration.relay.conftest import relay_with, replaced
from tests.integration.relay.fleet import session_row

Enrol = Callable[[], Awaitable[Credential]]


async def refusal(credential: Credential, port: int) -> grpc.aio.AioRpcError:
    """How the relay refuses this credential."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async with dialled(credential, port):
            pass
    return caught.value


class TestCertificates:
    @pytest.fixture
    def known_key(self, owner_postgres_url: str) -> ClusterKey:
        key = ClusterKey("demo", uuid4())
        add_cluster(owner_postgres_url, key.tenant, key.cluster_id)
        return key

    @pytest.mark.parametrize("usage", [None, ExtendedKeyUsageOID.SERVER_AUTH])
    async def test_one_that_is_not_for_clients_is_refused(
        self, relay: RelayServer, issuer: FileIssuer, known_key: ClusterKey,
        owner_postgres_url: str, usage: object,
    ) -> None:  # fmt: skip
        odd = odd_certificate(issuer, known_key, usage=usage)
        store(owner_postgres_url, odd)
        # BoringSSL itself refuses a server's usage; it accepts a leaf that has none.
        expected = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.UNAVAILABLE)
        assert (await refusal(odd, relay.port)).code() in expected
        assert len(relay.registry) == 0

    @pytest.mark.parametrize(
        "uri",
        [
            "spiffe://elsewhere.example/tenant/demo/cluster/{id}",
            "spiffe://arcbridge.local/tenant/demo/cluster/{id}/more",
            "spiffe://arcbridge.local/cluster/{id}",
            "https://arcbridge.local/tenant/demo/cluster/{id}",
        ],
    )
    async def test_one_that_names_no_cluster_of_ours_is_refused(
        self, relay: RelayServer, issuer: FileIssuer, known_key: ClusterKey,
        owner_postgres_url: str, uri: str,
    ) -> None:  # fmt: skip
        odd = odd_certificate(issuer, known_key, uri=uri.format(id=known_key.cluster_id))
        store(owner_postgres_url, odd)
        assert (await refusal(odd, relay.port)).code() is grpc.StatusCode.UNAUTHENTICATED

    async def test_one_from_another_ca_ends_in_the_handshake(
        self, relay: RelayServer, known_key: ClusterKey, issuer: FileIssuer, tmp_path: Path,
        owner_postgres_url: str,
    ) -> None:  # fmt: skip
        devca.make(tmp_path / "other")
        foreign = await issue(FileIssuer(tmp_path / "other"), known_key)
        store(owner_postgres_url, foreign)
        trusting = Credential(
            key=foreign.key,
            serial=foreign.serial,
            private_key=foreign.private_key,
            chain=foreign.chain,
            roots=issuer.authority.bundle.encode(),
            not_after=foreign.not_after,
        )
        assert (await refusal(trusting, relay.port)).code() is grpc.StatusCode.UNAVAILABLE

    async def test_none_at_all_ends_in_the_handshake(
        self, relay: RelayServer, issuer: FileIssuer
    ) -> None:
        credentials = grpc.ssl_channel_credentials(issuer.authority.bundle.encode())
        async with grpc.aio.secure_channel(f"localhost:{relay.port}", credentials) as connection:
            call = rpc.AgentRelayStub(connection).Connect()
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                async with asyncio.timeout(8):
                    await call.read()
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE

    async def test_an_expired_one_ends_in_the_handshake(
        self, relay: RelayServer, issuer: FileIssuer, known_key: ClusterKey,
        owner_postgres_url: str,
    ) -> None:  # fmt: skip
        now = datetime.now(UTC)
        expired = odd_certificate(
            issuer, known_key, not_before=now - timedelta(days=2), not_after=now - timedelta(days=1)
        )
        store(owner_postgres_url, expired)
        assert (await refusal(expired, relay.port)).code() is grpc.StatusCode.UNAVAILABLE

    async def test_a_revoked_one_is_refused_with_its_reason(
        self, relay: RelayServer, agent: Credential, owner_postgres_url: str
    ) -> None:
        revoke(owner_postgres_url, agent)
        error = await refusal(agent, relay.port)
        assert error.code() is grpc.StatusCode.PERMISSION_DENIED
        assert (REASON_KEY, "CertificateRevoked") in tuple(error.trailing_metadata() or ())

    async def test_one_that_was_never_issued_is_refused(
        self, relay: RelayServer, issuer: FileIssuer, known_key: ClusterKey
    ) -> None:
        unknown = await issue(issuer, known_key)
        assert (await refusal(unknown, relay.port)).code() is grpc.StatusCode.UNAUTHENTICATED

    async def test_a_stream_ends_when_its_certificate_does(
        self, relay: RelayServer, issuer: FileIssuer, known_key: ClusterKey,
        owner_postgres_url: str,
    ) -> None:  # fmt: skip
        soon = datetime.now(UTC) + timedelta(seconds=3)
        short = odd_certificate(issuer, known_key, not_after=soon)
        store(owner_postgres_url, short)
        async with dialled(short, relay.port) as link:
            said, code = await link.end()
        assert said[-1].notice.reason == "CertificateExpired"
        assert code is grpc.StatusCode.UNAUTHENTICATED
        assert datetime.now(UTC) - short.not_after < timedelta(seconds=2)


def revoke(owner_url: str, credential: Credential) -> None:
    with psycopg.connect(owner_url) as connection:
        connection.execute(
            "update certificates set state = 'Revoked', revoked_at = now() where serial = %s",
            [credential.serial],
        )


async def test_a_stolen_key_beside_the_real_agent_raises_duplicate_identity(
    relay: RelayServer, agent: Credential, owner_postgres_url: str
) -> None:
    async with (
        dialled(agent, relay.port, instance="real") as real,
        dialled(agent, relay.port, instance="thief"),
    ):
        said, _ = await real.end()
        assert said[-1].notice.reason == "DuplicateIdentity"
        async with dialled(agent, relay.port, instance="real"):
            assert session_row(owner_postgres_url, agent.key)["takeovers"] == 2
            async with asyncio.timeout(8):
                while not (found := audited(owner_postgres_url)):
                    await asyncio.sleep(0.05)
    assert found == [("session.duplicate", "DuplicateIdentity")]


def audited(owner_url: str) -> list[tuple[object, ...]]:
    with psycopg.connect(owner_url) as connection:
        return connection.execute("select action, reason from events").fetchall()


async def read_to_the_end(call: grpc.aio.StreamStreamCall) -> None:
    while await call.read() is not grpc.aio.EOF:
        pass


class TestProtocol:
    async def test_silence_instead_of_hello_ends_the_stream(
        self, settings: RelaySettings, agent: Credential
    ) -> None:
        async with (
            relay_with(replaced(settings, hello_seconds=0.3)) as relay,
            channel(agent, relay.port) as connection,
        ):
            link = Link(rpc.AgentRelayStub(connection).Connect(), "a")
            _, code = await link.end()
        assert code is grpc.StatusCode.INVALID_ARGUMENT

    @pytest.mark.parametrize(
        "message",
        [
            pb.AgentMessage(),
            pb.AgentMessage(heartbeat=pb.Heartbeat(sequence=1)),
            pb.AgentMessage(hello=pb.Hello()),
            pb.AgentMessage(hello=pb.Hello(instance_id="x" * 65)),
            pb.AgentMessage(hello=pb.Hello(instance_id="line\nfeed")),
        ],
    )
    async def test_a_first_message_that_is_no_hello_ends_the_stream(
        self, relay: RelayServer, agent: Credential, message: pb.AgentMessage
    ) -> None:
        async with channel(agent, relay.port) as connection:
            link = Link(rpc.AgentRelayStub(connection).Connect(), "a")
            await link.say(message)
            _, code = await link.end()
        assert code is grpc.StatusCode.INVALID_ARGUMENT

    @pytest.mark.parametrize(
        "message",
        [
            pb.AgentMessage(hello=pb.Hello(instance_id="a")),
            pb.AgentMessage(heartbeat=pb.Heartbeat(sequence=0)),
            pb.AgentMessage(heartbeat=pb.Heartbeat(sequence=2**63)),
            pb.AgentMessage(inventory_full=pb.InventoryFull(chunk=1, last=True)),
            pb.AgentMessage(inventory_full=pb.InventoryFull(last=True, checksum="wrong")),
            pb.AgentMessage(
                inventory_full=pb.InventoryFull(
                    checksum="x",
                    objects=[pb.InventoryObject(name="big", data=b"x" * INVENTORY_CHUNK_BYTES)],
                )
            ),
            pb.AgentMessage(
                inventory_delta=pb.InventoryDelta(
                    added=[pb.InventoryObject(kind="Node", name="n", data=b'["no object"]')]
                )
            ),
        ],
        ids=lambda message: message.WhichOneof("body"),
    )
    async def test_a_message_against_the_protocol_ends_only_that_stream(
        self, relay: RelayServer, enrolled: Enrol, message: pb.AgentMessage
    ) -> None:
        bad, good = await enrolled(), await enrolled()
        async with dialled(bad, relay.port) as attacker, dialled(good, relay.port) as other:
            await attacker.say(message)
            _, code = await attacker.end()
            assert code is grpc.StatusCode.INVALID_ARGUMENT
            await other.beat()
            assert relay.registry.get(good.key) is not None

    async def test_bytes_that_are_no_message_end_the_stream(
        self, relay: RelayServer, agent: Credential
    ) -> None:
        async with channel(agent, relay.port) as connection:
            call = connection.stream_stream("/arcbridge.relay.v1.AgentRelay/Connect")()
            await call.write(pb.AgentMessage(hello=pb.Hello(instance_id="a")).SerializeToString())
            async with asyncio.timeout(8):
                await call.read()
                await call.write(b"\xff\xff\xff\xff")
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await read_to_the_end(call)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT

    async def test_an_oversized_message_ends_only_that_stream(
        self, relay: RelayServer, enrolled: Enrol
    ) -> None:
        bad, good = await enrolled(), await enrolled()
        async with dialled(bad, relay.port) as attacker, dialled(good, relay.port) as other:
            giant = pb.InventoryObject(name="x" * (GRPC_MESSAGE_BYTES + 1))
            await attacker.say(pb.AgentMessage(inventory_full=pb.InventoryFull(objects=[giant])))
            _, code = await attacker.end()
            assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
            await other.beat()
            assert relay.registry.get(good.key) is not None


class TestLimits:
    async def test_a_stream_that_floods_is_held_back_and_the_others_go_on(
        self, relay: RelayServer, enrolled: Enrol, settings: RelaySettings
    ) -> None:
        bad, good = await enrolled(), await enrolled()
        async with dialled(bad, relay.port) as flood, dialled(good, relay.port) as other:
            written = 0

            async def flooding() -> None:
                nonlocal written
                while True:
                    await flood.beat()
                    written += 1

            task = asyncio.create_task(flooding())
            await asyncio.sleep(1.0)
            began = asyncio.get_running_loop().time()
            await other.beat()
            relay.registry.get(good.key).tell(
                pb.RelayMessage(desired_changed=pb.DesiredChanged(digest="now"))
            )
            while (await other.heard("desired_changed")).desired_changed.digest != "now":
                pass
            assert asyncio.get_running_loop().time() - began < 1.0
            task.cancel()
            await asyncio.wait([task])
            stream = relay.registry.get(bad.key)
            assert stream is not None
            assert stream.heartbeat_sequence < 250  # 200 at once, then 10 in a second
            assert written > stream.heartbeat_sequence

    async def test_a_reader_that_never_reads_is_closed(
        self, relay: RelayServer, enrolled: Enrol
    ) -> None:
        bad, good = await enrolled(), await enrolled()
        async with channel(bad, relay.port) as connection, dialled(good, relay.port) as other:
            call = rpc.AgentRelayStub(connection).Connect()
            await call.write(pb.AgentMessage(hello=pb.Hello(instance_id="a")))
            await call.read()
            stream = relay.registry.get(bad.key)
            assert stream is not None
            async with asyncio.timeout(8):
                while relay.registry.get(bad.key) is stream:
                    note = pb.Notice(reason="x", message="x" * 60_000)
                    stream.tell(pb.RelayMessage(notice=note))
                    await asyncio.sleep(0.02)
            await other.beat()
            assert relay.registry.get(good.key) is not None

    async def test_connections_beyond_the_limit_are_refused(
        self, settings: RelaySettings, agent: Credential
    ) -> None:
        async with relay_with(replaced(settings, relay_connections=5)) as relay:
            silent = []
            for _ in range(20):
                connection = socket.create_connection(("127.0.0.1", relay.port), timeout=5)
                connection.setblocking(False)
                silent.append(connection)
            await asyncio.sleep(0.5)
            closed = 0
            for connection in silent:
                try:
                    # A server that refuses closes; one that waits for a handshake sends nothing.
                    closed += connection.recv(1) == b""
                except BlockingIOError:
                    pass
                except ConnectionResetError:
                    closed += 1
                finally:
                    connection.close()
            assert closed >= 15
            await asyncio.sleep(0.5)
            async with dialled(agent, relay.port) as link:
                assert link.welcome is not None

    async def test_an_identity_that_connects_too_often_is_told_when_to_come_back(
        self, relay: RelayServer, agent: Credential
    ) -> None:
        async def connect_again_and_again() -> None:
            for _ in range(20):
                async with dialled(agent, relay.port):
                    pass

        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await connect_again_and_again()
        error = caught.value
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert code_in(error.trailing_metadata()) is ErrorCode.RATE_LIMITED
        assert (retry_after_in(error.trailing_metadata()) or 0) > 0

    async def test_an_agent_that_falls_silent_is_given_up(
        self, settings: RelaySettings, agent: Credential, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("relay.session.SILENT_EXTRA_SECONDS", -4.0)
        async with (
            relay_with(replaced(settings, heartbeat_seconds=1)) as relay,
            dialled(agent, relay.port) as link,
        ):
            _, code = await link.end()
        assert code is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_a_full_queue_turns_the_newest_away(
    settings: RelaySettings, agent: Credential
) -> None:
    async with relay_with(replaced(settings, admission_queue=0)) as relay:
        error = await refusal(agent, relay.port)
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert (retry_after_in(error.trailing_metadata()) or 0) >= 2
