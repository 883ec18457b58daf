"""A prepared generation of the CA is taken back: nobody trusts it, nobody is shut out."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from shared.contract.ca import CaAbortRequest, CaRotateRequest, CaState
from shared.contract.errors import ErrorCode
from shared.domain.errors import ArcBridgeError
from shared.services import ca, ca_rotation, events
from tests.integration.ca.conftest import PLATFORM, Site
from tests.integration.ca.test_rotation import enrolled, eventually, swept_until
from tests.integration.services.joining import admin

NEXT = CaRotateRequest()
ABORT = CaAbortRequest(reason="its key lay on a laptop")


async def prepared(site: Site) -> str:
    """Prepare a generation, which a connected agent that says nothing keeps from being activated;
    its id."""
    await ca.rotate(site.cp, PLATFORM, NEXT)
    assert await site.states() == ["Issuing", "Prepared"]
    return (await site.cp.ca.trust()).generations[-1].id


async def ready_to_issue(site: Site) -> None:
    """Every relay takes the prepared generation, and every agent."""

    async def there() -> bool:
        return bool((await ca_rotation.look(site.cp)).decision.steps)

    await eventually(there)


async def refusal(site: Site, request: CaAbortRequest) -> ArcBridgeError:
    with pytest.raises(ArcBridgeError) as caught:
        await ca.abort(site.cp, PLATFORM, request)
    return caught.value


async def test_agents_drop_the_root_of_an_aborted_generation_also_before_they_said_they_have_it(
    site: Site,
) -> None:
    said, silent = await enrolled(site, 2)
    before = said.held
    async with said.connected(), silent.connected():
        generation = await prepared(site)
        await said.takes_the_roots()
        # The other has stored them, and its next heartbeat is due later.
        assert silent.link is not None
        await silent.link.heard("ca_bundle")
        status = await ca.abort(site.cp, PLATFORM, ABORT)
        assert await site.states() == ["Issuing"]
        assert status.waiting_for == ()
        aborted = next(each for each in status.generations if each.id == generation)
        assert aborted.state is CaState.REMOVED
        assert aborted.issuing_at is None
        for agent in (said, silent):
            await agent.takes_the_roots()
            assert agent.held == before
    for agent in (said, silent):
        async with agent.connected():
            await agent.renews()
    trail = await events.list_events(site.cp, admin())
    [told] = [each for each in trail.items if each.action == "ca.abort"]
    assert (told.subject, told.message) == (f"ca/{generation}", ABORT.reason)
    assert (await events.verify(site.cp, admin())).intact


async def test_another_generation_is_prepared_after_that_and_comes_to_issue(site: Site) -> None:
    (agent,) = await enrolled(site, 1)
    async with agent.connected():
        aborted = await prepared(site)
        await ca.abort(site.cp, PLATFORM, ABORT)
        assert await prepared(site) != aborted
        wanted = (await site.cp.ca.trust()).digest
        # It may hear of the first and of its end before it hears of the second.
        while agent.held != wanted:
            await agent.takes_the_roots()
        await swept_until(site, CaState.RETIRING, CaState.ISSUING)
    assert (await site.cp.ca.trust()).issuing.id != aborted


async def test_a_generation_that_issues_is_not_aborted_and_the_answer_says_what_to_do(
    site: Site,
) -> None:
    (agent,) = await enrolled(site, 1)
    async with agent.connected():
        generation = await prepared(site)
        await agent.takes_the_roots()
        await swept_until(site, CaState.RETIRING, CaState.ISSUING)
    named = CaAbortRequest(generation=generation, reason="r")
    for request in (ABORT, named):
        error = await refusal(site, request)
        assert error.code is ErrorCode.CONFLICT
        assert generation in error.detail
        assert "rotate to another" in error.detail
    assert await site.states() == ["Retiring", "Issuing"]
    old = (await site.cp.ca.trust()).generations[0].id
    assert (
        "followed already"
        in (await refusal(site, CaAbortRequest(generation=old, reason="r"))).detail
    )


async def test_asked_again_it_changes_nothing_and_never_hits_one_that_was_prepared_since(
    site: Site,
) -> None:
    (agent,) = await enrolled(site, 1)
    assert (await refusal(site, ABORT)).code is ErrorCode.CONFLICT
    unknown = CaAbortRequest(generation="0" * 16, reason="r")
    assert (await refusal(site, unknown)).code is ErrorCode.NOT_FOUND
    async with agent.connected():
        request = CaAbortRequest(generation=await prepared(site), reason="r")
        await asyncio.gather(*(ca.abort(site.cp, PLATFORM, request) for _ in range(4)))
        since = await prepared(site)
        await ca.abort(site.cp, PLATFORM, request)
        assert (await site.cp.ca.trust()).generations[-1].id == since
    trail = await events.list_events(site.cp, admin())
    assert [each.action for each in trail.items].count("ca.abort") == 1


async def test_an_abort_at_the_moment_of_the_activation_leaves_a_generation_that_issues(
    site: Site, owner_postgres_url: str
) -> None:
    (agent,) = await enrolled(site, 1)
    async with agent.connected():
        await prepared(site)
        await agent.takes_the_roots()
        await ready_to_issue(site)
        async with await psycopg.AsyncConnection.connect(owner_postgres_url) as aborting:
            await aborting.execute(
                "update ca_generations set state = 'Removed', removed_at = now()"
                " where state = 'Prepared'"
            )
            sweep = asyncio.create_task(ca_rotation.sweep(site.cp))
            await eventually(lambda: _somebody_waits(owner_postgres_url))
            await aborting.commit()
        assert await sweep == 0
    assert await site.states() == ["Issuing"]


async def test_an_activation_under_way_is_waited_for_and_then_the_abort_is_refused(
    site: Site, owner_postgres_url: str
) -> None:
    (agent,) = await enrolled(site, 1)
    async with agent.connected():
        generation = await prepared(site)
        async with await psycopg.AsyncConnection.connect(owner_postgres_url) as activating:
            for state, was in (("Retiring", "Issuing"), ("Issuing", "Prepared")):
                await activating.execute(
                    "update ca_generations set state = %s, issuing_at = now() where state = %s",
                    (state, was),
                )
            abort = asyncio.create_task(ca.abort(site.cp, PLATFORM, ABORT))
            await eventually(lambda: _somebody_waits(owner_postgres_url))
            await activating.commit()
        with pytest.raises(ArcBridgeError, match=generation) as caught:
            await abort
    assert caught.value.code is ErrorCode.CONFLICT
    assert await site.states() == ["Retiring", "Issuing"]


async def _somebody_waits(url: str) -> bool:
    """Whether a statement on this database waits for another's lock."""
    async with await psycopg.AsyncConnection.connect(url) as looking:
        found = await looking.execute(
            "select count(*) from pg_stat_activity"
            " where datname = current_database() and wait_event_type = 'Lock'"
        )
        row = await found.fetchone()
    return row is not None and row[0] > 0
