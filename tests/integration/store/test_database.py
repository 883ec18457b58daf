import asyncio
import os
import signal
import time
from contextlib import suppress

import pytest

from dev.backends import PostgresServer
from shared.contract.errors import ErrorCode
from shared.domain.errors import ArcBridgeError
from shared.store.database import Database, Limits
from shared.store.migrations import allow_login, apply
from shared.store.queries import Query
from tests.conftest import APP_LOGIN, APP_PASSWORD, with_login

ADD_TENANT = Query("add_tenant", "test", "insert into tenants (tenant_id) values (%(tenant)s)")
TENANTS = Query("tenants", "test", "select tenant_id from tenants order by tenant_id")
WHO = Query(
    "who",
    "test",
    "select current_user::text as role, current_setting('arcbridge.tenant', true) as tenant",
)
SLEEP = Query("sleep", "test", "select pg_sleep(%(seconds)s)")
HOLD = Query("hold", "test", "select tenant_id from tenants for update")
ECHO = Query("echo", "test", "select %(text)s::text as text")


async def add_tenants(database: Database, *tenants: str) -> None:
    async with database.platform() as tx:
        await tx.many(ADD_TENANT, [{"tenant": tenant} for tenant in tenants])


async def test_each_transaction_has_its_role_and_tenant_and_leaves_neither(
    database: Database,
) -> None:
    async with database.tenant("acme") as tx:
        assert await tx.one(WHO) == {"role": "arcbridge_app", "tenant": "acme"}
    async with database.platform() as tx:
        assert await tx.one(WHO) == {"role": "arcbridge_platform", "tenant": ""}


async def test_a_tenant_sees_its_own_rows_only(database: Database) -> None:
    await add_tenants(database, "acme", "other")
    async with database.tenant("acme") as tx:
        assert await tx.all(TENANTS) == [{"tenant_id": "acme"}]


async def test_a_failed_block_leaves_nothing_behind(database: Database) -> None:
    with suppress(LookupError):
        async with database.platform() as tx:
            await tx.execute(ADD_TENANT, tenant="acme")
            raise LookupError
    async with database.platform() as tx:
        assert await tx.all(TENANTS) == []


async def test_a_duplicate_key_is_already_exists(database: Database) -> None:
    await add_tenants(database, "acme")
    with pytest.raises(ArcBridgeError) as caught:
        await add_tenants(database, "acme")
    assert caught.value.code is ErrorCode.ALREADY_EXISTS


@pytest.mark.parametrize("text", ["nul\x00", "lone \ud800 surrogate"])
async def test_text_that_cannot_be_stored_is_the_callers_mistake(
    database: Database, text: str
) -> None:
    with pytest.raises(ArcBridgeError) as caught:
        async with database.platform() as tx:
            await tx.one(ECHO, text=text)
    assert caught.value.code is ErrorCode.INVALID_REQUEST


@pytest.mark.parametrize(
    "limits", [Limits(statement_seconds=0.1), Limits(transaction_seconds=0.1)], ids=repr
)
async def test_what_takes_too_long_ends_as_unavailable(postgres_url: str, limits: Limits) -> None:
    async with Database.open(postgres_url, limits=limits) as database:
        started = time.monotonic()
        with pytest.raises(ArcBridgeError) as caught:
            async with database.platform() as tx:
                await tx.one(SLEEP, seconds=20)
        assert time.monotonic() - started < 5
        assert caught.value.code is ErrorCode.UNAVAILABLE
        assert caught.value.retry_after
        async with database.platform() as tx:
            assert await tx.one(WHO)


async def test_a_lock_is_waited_for_only_so_long(postgres_url: str) -> None:
    async with Database.open(postgres_url, limits=Limits(lock_seconds=0.1)) as database:
        await add_tenants(database, "acme")
        async with database.platform() as first, asyncio.TaskGroup() as group:
            await first.all(HOLD)

            async def second() -> ErrorCode | None:
                try:
                    async with database.platform() as tx:
                        await tx.all(HOLD)
                except ArcBridgeError as error:
                    return error.code
                return None

            task = group.create_task(second())
        assert task.result() is ErrorCode.UNAVAILABLE


async def test_when_every_connection_is_in_use_the_caller_is_told(postgres_url: str) -> None:
    limits = Limits(max_connections=1, connect_seconds=0.2)
    async with Database.open(postgres_url, limits=limits) as database, database.platform():
        with pytest.raises(ArcBridgeError) as caught:
            await database.ping()
        assert caught.value.code is ErrorCode.UNAVAILABLE


async def test_transactions_that_queue_up_leave_connections_to_the_others(
    postgres_url: str,
) -> None:
    limits = Limits(max_connections=2, max_crowded=1, crowd_seconds=0.2)
    async with Database.open(postgres_url, limits=limits) as database:
        async with database.tenant("acme", crowded=True):
            with pytest.raises(ArcBridgeError) as caught:
                async with database.tenant("acme", crowded=True):
                    pass
            async with database.tenant("acme") as tx:
                assert await tx.one(WHO)
        async with database.tenant("acme", crowded=True) as tx:
            assert await tx.one(WHO)
    assert caught.value.code is ErrorCode.UNAVAILABLE
    assert caught.value.retry_after == 1.0


async def test_the_password_is_asked_for_at_each_new_connection(postgres_url: str) -> None:
    asked = 0

    async def password() -> str:
        nonlocal asked
        asked += 1
        return APP_PASSWORD

    without = postgres_url.replace(f":{APP_PASSWORD}@", "@")
    async with Database.open(without, password=password) as database:
        await asyncio.gather(*(database.ping() for _ in range(3)))
    assert asked >= 1


async def test_it_serves_again_after_the_server_was_killed(
    private_postgres: PostgresServer,
) -> None:
    apply(private_postgres.url())
    allow_login(private_postgres.url(), APP_LOGIN, APP_PASSWORD)
    url = with_login(private_postgres.url(), APP_LOGIN, APP_PASSWORD)
    async with Database.open(url) as database:
        await add_tenants(database, "acme")
        await private_postgres.kill()
        with pytest.raises(ArcBridgeError) as caught:
            await database.ping()
        assert caught.value.code is ErrorCode.UNAVAILABLE
        await private_postgres.start()
        async with database.platform() as tx:
            assert await tx.all(TENANTS) == [{"tenant_id": "acme"}]


async def test_connections_that_died_while_idle_are_replaced_unseen(
    private_postgres: PostgresServer,
) -> None:
    apply(private_postgres.url())
    allow_login(private_postgres.url(), APP_LOGIN, APP_PASSWORD)
    url = with_login(private_postgres.url(), APP_LOGIN, APP_PASSWORD)
    async with Database.open(url, limits=Limits(min_connections=4)) as database:
        await asyncio.gather(*(database.ping() for _ in range(4)))
        await private_postgres.kill()
        await private_postgres.start()
        await database.ping()


async def test_a_backend_that_is_stopped_is_given_up_on_our_side(
    private_postgres: PostgresServer,
) -> None:
    """It cannot even end its own statement: only the deadline of the client helps."""
    apply(private_postgres.url())
    allow_login(private_postgres.url(), APP_LOGIN, APP_PASSWORD)
    url = with_login(private_postgres.url(), APP_LOGIN, APP_PASSWORD)
    limits = Limits(transaction_seconds=0.5, max_connections=1)
    async with Database.open(url, limits=limits) as database:
        async with database.platform() as tx:
            stopped = await tx.value(Query("pid", "test", "select pg_backend_pid()"))
        os.kill(stopped, signal.SIGSTOP)
        try:
            started = time.monotonic()
            with pytest.raises(ArcBridgeError) as caught:
                await add_tenants(database, "lost")
            assert caught.value.code is ErrorCode.UNAVAILABLE
            assert time.monotonic() - started < 15
            await add_tenants(database, "acme")  # on another connection
        finally:
            os.kill(stopped, signal.SIGCONT)
