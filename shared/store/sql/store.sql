-- name: enter
-- Begin, and take a role that row level security knows, the tenant, and limits, until the transaction
-- ends. Bound by the client: the protocol takes two statements at once only as text.
begin;
select
    set_config('role', %(role)s, true),
    set_config('arcbridge.tenant', %(tenant)s, true),
    set_config('statement_timeout', %(statement_timeout)s, true),
    set_config('lock_timeout', %(lock_timeout)s, true),
    set_config('idle_in_transaction_session_timeout', %(idle_timeout)s, true);

-- name: ping
-- Whether the database answers.
select 1 as alive;

-- name: advisory_lock
-- Wait for a named lock and hold it until the transaction ends.
select pg_advisory_xact_lock(hashtextextended(%(name)s, 0));

-- name: try_advisory_lock
-- Hold a named lock until the transaction ends; false when another transaction holds it.
select pg_try_advisory_xact_lock(hashtextextended(%(name)s, 0)) as held;
