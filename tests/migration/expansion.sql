-- What a later release may do to the schema before its code comes: everything that a `pre` migration
-- may, to every table. The code of this release has to work on it (test_expansion.py).

do $$
declare t text;
begin
    for t in
        select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = 'public' and c.relkind in ('r', 'p') and not c.relispartition
          and c.relname <> 'schema_migrations'
    loop
        execute format('alter table %I add column later_note text', t);
        execute format('alter table %I add column later_count integer not null default 0', t);
        execute format('create index on %I (later_count)', t);
    end loop;
end
$$;

create table later_things (
    tenant_id text not null references tenants,
    thing_id  uuid not null,
    primary key (tenant_id, thing_id)
);
alter table later_things enable row level security;
alter table later_things force row level security;
create policy one_tenant on later_things to arcbridge_app
    using (tenant_id = current_setting('arcbridge.tenant', true));
grant select, insert, update, delete on later_things to arcbridge_app, arcbridge_platform;

-- A state more than this release knows.
alter table rollouts drop constraint rollouts_state_check;
