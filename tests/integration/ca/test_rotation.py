"""The CA is rotated under agents that are connected, away, or just joining; nobody is shut out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from shared.contract.ca import CaRotateRequest, CaState, bundle_digest
from shared.contract.errors import ErrorCode
from shared.domain.errors import ArcBridgeError
from shared.rpc.v1 import relay_pb2 as pb
from shared.rpc.v1 import relay_pb2_grpc as rpc
from shared.services import ca, ca_rotation, events, failpoints
from shared.services.failpoints import Failpoint
from tests.integration.ca.conftest import PLATFORM, Site, later
from tests.integration.relay.agents import Credential, Link, channel, dialled, pem_of
from tests.integration.relay.test_certificates import request
from tests.integration.services.joining import admin, new_token

WAIT_SECONDS = 15.0
NEXT = CaRotateRequest()


async def eventually(true: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while not await true():
            await asyncio.sleep(0.05)


async def swept_until(site: Site, *states: CaState) -> None:
    """The timer runs until the trusted generations stand like this, oldest first."""

    async def there() -> bool:
        await ca_rotation.sweep(site.cp)
        return await site.states() == [state.value for state in states]

    await eventually(there)


async def serving(site: Site, generation: str) -> None:
    """Every relay presents certificates of this generation."""

    async def there() -> bool:
        await ca_rotation.sweep(site.cp)
        return all(relay._tls.generation == generation for relay in site.relays)

    await eventually(there)


class Agent:
    """Connects to either relay, keeps the roots that it is sent, and renews."""

    def __init__(self, site: Site, credential: Credential, relay: int) -> None:
        self._site = site
        self._relay = relay
        self.credential = credential
        self.link: Link | None = None

    @property
    def port(self) -> int:
        return self._site.relays[self._relay].port

    @property
    def held(self) -> str:
        return bundle_digest(self.credential.roots.decode())

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Agent]:
        async with dialled(self.credential, self.port, ca_bundle_digest=self.held) as link:
            self.link = link
            yield self

    async def takes_the_roots(self) -> None:
        """Hears of new roots, stores them, and says so."""
        assert self.link is not None
        sent = (await self.link.heard("ca_bundle")).ca_bundle
        self.credential = replace(self.credential, roots=sent.bundle.encode())
        assert self.held == sent.digest
        await self.link.beat(ca_bundle_digest=self.held)
        await eventually(self._is_heard)

    async def _is_heard(self) -> bool:
        stream = self._site.relays[self._relay].registry.get(self.credential.key)
        return stream is not None and stream.bundle_held == self.held

    async def renews(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        async with channel(self.credential, self.port) as connection:
            answer: pb.RenewCertificateResponse = await rpc.AgentRelayStub(
                connection
            ).RenewCertificate(pb.RenewCertificateRequest(csr=request(key)), timeout=10)
        self.credential = replace(
            self.credential,
            serial=answer.serial,
            private_key=pem_of(key),
            chain=answer.certificate_chain.encode(),
            roots=answer.ca_bundle.encode(),
        )


async def enrolled(site: Site, count: int) -> list[Agent]:
    return [Agent(site, await site.enrol(f"eu-{n}"), n % 2) for n in range(count)]


async def test_a_rotation_shuts_nobody_out_on_any_relay(site: Site) -> None:
    agents = await enrolled(site, 3)
    old = (await site.cp.ca.trust()).issuing.id
    async with AsyncExitStack() as stack:
        for agent in agents:
            await stack.enter_async_context(agent.connected())
        status = await ca.rotate(site.cp, PLATFORM, NEXT)
        assert await site.states() == ["Issuing", "Prepared"]
        assert status.pending == 3
        for agent in agents[1:]:
            await agent.takes_the_roots()

        async def one_is_left() -> bool:
            return (await ca.status(site.cp, PLATFORM)).pending == 1

        await eventually(one_is_left)
        await ca_rotation.sweep(site.cp)
        assert await site.states() == ["Issuing", "Prepared"]  # one connected agent lacks it
        await agents[0].takes_the_roots()
        await swept_until(site, CaState.RETIRING, CaState.ISSUING)
        new = (await site.cp.ca.trust()).issuing.id
        await serving(site, new)
        for agent in agents:
            await agent.renews()
    for agent in agents:
        async with agent.connected():
            pass  # its new certificate is in use, the old one is retired
    status = await ca.status(site.cp, PLATFORM)
    assert [each.live_certificates for each in status.generations] == [3, 0]
    later(site, minutes=11)  # the tokens they joined with can be used no more either
    await swept_until(site, CaState.ISSUING)
    async with AsyncExitStack() as stack:
        for agent in agents:
            await stack.enter_async_context(agent.connected())
            await agent.takes_the_roots()
            assert agent.credential.roots.decode().count("BEGIN CERTIFICATE") == 1
    assert old not in {each.id for each in (await site.cp.ca.trust()).generations}
    trail = await events.list_events(site.cp, admin())
    actions = [each.action for each in trail.items if each.action.startswith("ca.")]
    assert actions == ["ca.remove", "ca.serve", "ca.activate", "ca.prepare"]


async def test_an_agent_that_was_away_meets_a_relay_it_knows(site: Site) -> None:
    present, away = await enrolled(site, 2)
    async with present.connected():
        await ca.rotate(site.cp, PLATFORM, NEXT)
        await present.takes_the_roots()

        async def only_the_other_is_missing() -> bool:
            await ca_rotation.sweep(site.cp)
            status = await ca.status(site.cp, PLATFORM)
            left = [each.cluster_id for each in status.stragglers]
            return left == [away.credential.key.cluster_id]

        await eventually(only_the_other_is_missing)
        assert await site.states() == ["Issuing", "Prepared"]
        override = CaRotateRequest(override_offline=True, reason="its site is closed for a week")
        await ca.rotate(site.cp, PLATFORM, override)
        await swept_until(site, CaState.RETIRING, CaState.ISSUING)
    await ca_rotation.sweep(site.cp)
    # Not everyone knows the new root, so relays still present the old one's certificates.
    async with away.connected():
        await away.takes_the_roots()
    await serving(site, (await site.cp.ca.trust()).issuing.id)
    async with away.connected():
        pass


async def test_who_joins_with_the_pin_of_before_is_certified_by_the_ca_it_pinned(
    site: Site,
) -> None:
    token = await new_token(site.cp, name="late")
    before = await site.cp.ca.trust()
    await ca.rotate(site.cp, PLATFORM, NEXT)
    await swept_until(site, CaState.RETIRING, CaState.ISSUING)
    credential = await site.enrol("late", token)
    # All that its agent trusts is the root that the manifest pinned.
    late = Agent(site, replace(credential, roots=before.bundle.encode()), 0)
    async with late.connected():
        await late.takes_the_roots()
    await serving(site, (await site.cp.ca.trust()).issuing.id)


async def test_asking_again_changes_nothing_and_two_sweeps_at_once_take_each_step_once(
    site: Site,
) -> None:
    (agent,) = await enrolled(site, 1)
    async with agent.connected():
        for _ in range(3):
            await ca.rotate(site.cp, PLATFORM, NEXT)
        assert await site.states() == ["Issuing", "Prepared"]
        await agent.takes_the_roots()

        async def activated() -> bool:
            await asyncio.gather(*(ca_rotation.sweep(site.cp) for _ in range(4)))
            return await site.states() == ["Retiring", "Issuing"]

        await eventually(activated)
    trail = await events.list_events(site.cp, admin())
    actions = [each.action for each in trail.items if each.action.startswith("ca.")]
    assert sorted(set(actions)) == sorted(actions)
    assert {"ca.prepare", "ca.activate"} <= set(actions)
    assert (await events.verify(site.cp, admin())).intact


@pytest.mark.parametrize("place", ["ca.before_commit", "ca.after_commit"])
@pytest.mark.parametrize("time", [1, 2, 3])
async def test_a_crash_at_any_step_is_made_up_by_the_next_run(
    site: Site, monkeypatch: pytest.MonkeyPatch, place: str, time: int
) -> None:
    failpoints.reset()
    monkeypatch.setenv(failpoints.VARIABLE, f"{place}=raise@{time}")
    crashed = 0

    async def survives(call: Awaitable[object]) -> None:
        nonlocal crashed
        try:
            await call
        except Failpoint:
            crashed += 1

    async def gone() -> bool:
        await survives(ca_rotation.sweep(site.cp))
        if await site.states() == ["Retiring", "Issuing"]:
            later(site, minutes=3)
        return await site.states() == ["Issuing"]

    await survives(ca.rotate(site.cp, PLATFORM, NEXT))
    assert len(await site.states()) == 2
    await eventually(gone)
    assert crashed == 1


async def test_a_foreign_or_short_lived_chain_is_refused(site: Site) -> None:
    trust = await site.cp.ca.trust()
    upside_down = trust.bundle + trust.issuing.authority.bundle
    for chain in ("no pem", upside_down):
        wrong = CaRotateRequest(chain=chain, key_id="https://vault.example/keys/issuing/2")
        with pytest.raises(ArcBridgeError) as caught:
            await ca.rotate(site.cp, PLATFORM, wrong)
        assert caught.value.code is ErrorCode.INVALID_REQUEST
    assert await site.states() == ["Issuing"]
