-- name: session_limits
-- How long this connection waits for locks and statements.
select
    set_config('lock_timeout', %(lock)s, false),
    set_config('statement_timeout', %(statement)s, false);

-- name: one_run_at_a_time
-- Wait until no other run migrates this database; held until the connection ends.
select pg_advisory_lock(hashtextextended('arcbridge.migrations', 0));

-- name: roles
-- The two roles that the application works in. Roles belong to the whole server, so another
-- database's run may make them at the same moment.
do $$
declare
    wanted text;
begin
    foreach wanted in array array['arcbridge_app', 'arcbridge_platform'] loop
        if not exists (select from pg_roles where rolname = wanted) then
            begin
                execute format('create role %%I nologin noinherit', wanted);
            exception when duplicate_object or unique_violation then
                null;
            end;
        end if;
    end loop;
end
$$;

-- name: name_login
-- Hand the login's name, and the verifier of its password, to the statement that follows.
select
    set_config('arcbridge.login', %(login)s, true),
    set_config('arcbridge.verifier', %(verifier)s, true);

-- name: allow_login
-- Let the login take the two roles, and inherit neither: it must say which one it takes.
do $$
declare
    login text := current_setting('arcbridge.login');
    verifier text := current_setting('arcbridge.verifier');
begin
    if verifier <> '' then
        if not exists (select from pg_roles where rolname = login) then
            begin
                execute format('create role %%I login noinherit', login);
            exception when duplicate_object or unique_violation then
                null;
            end;
        end if;
        execute format('alter role %%I login noinherit password %%L', login, verifier);
    end if;
    execute format(
        'grant arcbridge_app, arcbridge_platform to %%I with inherit false, set true', login
    );
end
$$;

-- name: become_platform
-- Row level security holds for the owner too, so rows are added as the platform's role; whoever made
-- a role may let themselves take it.
do $$
begin
    if not pg_has_role('arcbridge_platform', 'SET') then
        grant arcbridge_platform to current_user with inherit false, set true;
    end if;
    perform set_config('role', 'arcbridge_platform', true);
end
$$;

-- name: add_tenant
-- A tenant, unless it is there.
insert into tenants (tenant_id) values (%(tenant)s) on conflict (tenant_id) do nothing;

-- name: record_table
-- What was applied here.
create table if not exists schema_migrations (
    number     integer not null,
    phase      text not null,
    name       text not null,
    checksum   text not null,
    applied_at timestamptz not null default now(),
    primary key (number, phase)
);

-- name: applied
-- Every migration that this database has had.
select number, phase, checksum from schema_migrations;

-- name: record
-- Remember that a migration was applied.
insert into schema_migrations (number, phase, name, checksum)
values (%(number)s, %(phase)s, %(name)s, %(checksum)s);
