-- The first schema. Every tenant-owned table is led by tenant_id and has row level security forced,
-- so that the same schema can be distributed by tenant. Two roles use it and own nothing:
--   arcbridge_app       requests; sees one tenant, the one set in `arcbridge.tenant`
--   arcbridge_platform  timers and the relay; sees all tenants
-- Times are the server's. Ids are UUIDv7 made by the caller.

create table tenants (
    tenant_id   text primary key check (tenant_id ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
    state       text not null default 'Active' check (state in ('Active', 'Suspended', 'Deleted')),
    quotas      jsonb not null default '{}',            -- Quotas; absent ones are the defaults
    created_at  timestamptz not null default now(),
    purged_at   timestamptz,                            -- Deleted, and nothing left but the trail
    importing   text                                    -- SHA-256 of the file that fills it just now
);

create table bootstrap_tokens (
    tenant_id     text not null references tenants,
    token_id      uuid not null,
    secret_sha256 bytea not null,
    ca            text not null,     -- generation of the CA whose root was shown beside it
    cluster_name  text,
    labels        jsonb not null default '{}',
    created_by    text not null,
    created_at    timestamptz not null default now(),
    expires_at    timestamptz not null,
    revoked_at    timestamptz,
    used_at       timestamptz,
    used_key      bytea,             -- SHA-256 of the SubjectPublicKeyInfo that used it
    used_cluster  uuid,
    approval      boolean not null default false,       -- who registers with it waits for an admin
    primary key (tenant_id, token_id)
);

-- Clusters that wait for an admin, or did: what they asked for, and what was decided.
create table enrolments (
    tenant_id    text not null,
    token_id     uuid not null,
    cluster_id   uuid not null,          -- which it is, or will be
    name         text not null,
    key_pin      text not null,          -- sha256:<hex> of the SubjectPublicKeyInfo
    labels       jsonb not null,
    facts        jsonb not null,
    address      text,
    state        text not null check (state in ('Pending','Approved','Rejected')),
    requested_at timestamptz not null,
    decided_at   timestamptz,
    decided_by   text,
    reason       text,
    completed_at timestamptz,            -- when it got its certificate
    primary key (tenant_id, token_id),
    foreign key (tenant_id, token_id) references bootstrap_tokens on delete cascade
);
create unique index enrolments_waiting on enrolments (tenant_id, name) where state = 'Pending';

create table clusters (
    tenant_id          text not null references tenants,
    cluster_id         uuid not null,
    name               text not null,
    labels             jsonb not null default '{}',
    annotations        jsonb not null default '{}',
    version            bigint not null default 1,       -- the ETag
    kubernetes_version text not null default '',
    distribution       text not null default '',
    agent_version      text not null default '',
    cluster_uid        text not null default '',
    state              text not null default 'Pending'
                       check (state in ('Pending','Connected','Offline','Expired','Revoked','Deregistered')),
    state_since        timestamptz not null default now(),
    not_now_until      timestamptz,
    conditions         jsonb not null default '[]',
    created_at         timestamptz not null default now(),
    deregistered_at    timestamptz,
    primary key (tenant_id, cluster_id)
);
create unique index clusters_by_name on clusters (tenant_id, name) where deregistered_at is null;
create index clusters_by_labels on clusters using gin (labels jsonb_path_ops);

create table certificates (
    tenant_id   text not null,
    cluster_id  uuid not null,
    serial      text not null,           -- lower case hexadecimal
    sha256      text not null,           -- base64url of the DER, as in x5t#S256
    public_key  bytea not null,          -- SubjectPublicKeyInfo, DER
    pem_chain   text not null,
    ca          text not null,           -- generation of the CA that signed it
    state       text not null check (state in ('New','Current','Retired','Revoked')),
    not_before  timestamptz not null,
    not_after   timestamptz not null,
    issued_at   timestamptz not null default now(),
    revoked_at  timestamptz,
    primary key (tenant_id, cluster_id, serial),
    foreign key (tenant_id, cluster_id) references clusters
);
create unique index certificates_by_thumbprint on certificates (sha256);
create unique index certificates_by_serial on certificates (serial);
-- The relays ask every few seconds what was revoked lately.
create index certificates_by_revocation on certificates (revoked_at) where revoked_at is not null;

-- The issuing CA, generation by generation; its keys are elsewhere. Of the platform, of no tenant.
create table ca_generations (
    generation_id text primary key,      -- start of the issuing certificate's fingerprint
    chain         text not null,         -- PEM: issuing certificate, then its roots
    key_id        text,                  -- of the key in Key Vault; null for a file
    pin           text not null,         -- of the first root
    not_after     timestamptz not null,
    state         text not null check (state in ('Prepared','Issuing','Retiring','Removed')),
    serves_since  timestamptz,           -- relays' own certificates are of the newest that serves
    prepared_by   text not null,
    audit_tenant  text references tenants,              -- whose trail tells of its rotation
    overridden_by text,                  -- who lets it go on without the clusters that are offline
    prepared_at   timestamptz not null,
    issuing_at    timestamptz,
    retiring_at   timestamptz,
    removed_at    timestamptz
);
create unique index ca_generations_issuing on ca_generations (state) where state = 'Issuing';
create unique index ca_generations_prepared on ca_generations (state) where state = 'Prepared';

-- The relays that are there, and which generations of the CA each of them takes.
create table relays (
    relay_id text primary key,
    trusts   text[] not null,
    serves   text not null,
    seen_at  timestamptz not null
);
grant select, insert, update, delete on ca_generations, relays to arcbridge_platform;
grant select on ca_generations to arcbridge_app;

-- Liveness stands apart from the clusters, so that heartbeats never touch their rows. Nothing that a
-- heartbeat changes is indexed and pages have room, so that an update stays in its page (HOT).
create table sessions (
    tenant_id         text not null,
    cluster_id        uuid not null,
    epoch             bigint not null default 0,        -- the fencing token; only ever grows
    instance_id       text not null default '',
    relay_id          text not null default '',
    connected_at      timestamptz,
    last_heartbeat    timestamptz,                      -- the server's receive time
    heartbeat_sequence bigint not null default 0,
    clock_skew_ms     bigint,
    extensions        integer not null default 0,
    extensions_ready  integer not null default 0,
    extensions_failed integer not null default 0,
    extensions_drifted integer not null default 0,
    reports_pending   integer not null default 0,
    desired_digest    text not null default '',
    ca_bundle         text not null default '',         -- digest of the roots that the agent trusts
    takeovers         integer not null default 0,       -- epochs granted while another instance lived
    last_takeover_at  timestamptz,
    primary key (tenant_id, cluster_id),
    foreign key (tenant_id, cluster_id) references clusters
) with (fillfactor = 50);

create table inventories (
    tenant_id   text not null,
    cluster_id  uuid not null,
    checksum    text not null,
    summary     jsonb not null,
    reported_at timestamptz not null default now(),
    primary key (tenant_id, cluster_id),
    foreign key (tenant_id, cluster_id) references clusters
);
create table inventory_objects (
    tenant_id   text not null,
    cluster_id  uuid not null,
    kind        text not null,
    namespace   text not null default '',
    name        text not null,
    data        jsonb not null default '{}',
    primary key (tenant_id, cluster_id, kind, namespace, name),
    foreign key (tenant_id, cluster_id) references inventories on delete cascade
);

create table extensions (
    tenant_id   text not null references tenants,
    name        text not null,
    labels      jsonb not null default '{}',
    annotations jsonb not null default '{}',
    version     bigint not null default 1,
    newest      integer not null,                        -- number of the newest revision
    deleting    boolean not null default false,          -- a rollout of kind delete runs
    deleted_at  timestamptz,                             -- gone everywhere; history is kept
    created_at  timestamptz not null default now(),
    updated_at  timestamptz not null default now(),
    primary key (tenant_id, name)
);

create table revisions (
    tenant_id         text not null,
    extension         text not null,
    number            integer not null,
    digest            text not null,                     -- of the ExtensionSpec's canonical JSON
    spec              jsonb not null,                    -- ExtensionSpec, canonical
    depends_on        text[] not null default '{}',      -- the spec's, where it can be searched
    state             text not null default 'Candidate'
                      check (state in ('Candidate','Good','Quarantined','Superseded')),
    provenance        text not null,
    reason            text,
    quarantine_reason text,
    lifted_at         timestamptz,                         -- of a quarantine: rollouts from before prove nothing
    created_by        text not null,
    created_at        timestamptz not null default now(),
    primary key (tenant_id, extension, number),
    foreign key (tenant_id, extension) references extensions on delete cascade
);

create index revisions_by_dependency on revisions using gin (depends_on);

-- What a cluster gets: overrides flattened. Content-addressed, so that a fleet shares a few rows.
create table resolved_specs (
    tenant_id   text not null references tenants,
    digest      text not null,                           -- of the ResolvedSpec's canonical JSON
    spec        jsonb not null,
    created_at  timestamptz not null default now(),
    primary key (tenant_id, digest)
);

create table rollouts (
    tenant_id      text not null,
    rollout_id     uuid not null,
    extension      text not null,
    kind           text not null check (kind in ('publish','placement','rollback','delete')),
    state          text not null default 'Pending'
                   check (state in ('Pending','Running','Paused','AwaitingApproval','Succeeded','Failed',
                                    'RollingBack','RolledBack','Superseded','Cancelled')),
    version        bigint not null default 1,
    revision       integer,
    strategy       jsonb not null,                       -- RolloutStrategy in full; never changes
    reason         text,
    created_by     text not null,
    created_at     timestamptz not null default now(),
    started_at     timestamptz,
    finished_at    timestamptz,
    superseded_by  uuid,
    rollback_of    uuid,
    rolled_back_by uuid,
    retry_of       uuid,
    freeze_override_until timestamptz,                   -- no freeze or window holds it before this
    waiting_for    jsonb,
    pacing         jsonb,                                -- what adaptive pacing has seen, and its rate
    traceparent    text,
    planned_at     timestamptz,                          -- when a pacer last looked
    plan_after     timestamptz default now(),            -- no need to look before this; null: until asked
    primary key (tenant_id, rollout_id),
    foreign key (tenant_id, extension) references extensions on delete cascade
);
-- Publishing supersedes what runs, so one extension has one forward rollout at a time; beside it
-- at most one rollback, which the forward one waits for.
create unique index rollouts_running on rollouts (tenant_id, extension, (kind = 'rollback'))
    where state in ('Pending','Running','Paused','AwaitingApproval');
create index rollouts_to_plan on rollouts (plan_after)
    where state in ('Pending','Running','Paused','AwaitingApproval');
create index rollouts_by_extension on rollouts (tenant_id, extension, rollout_id desc);

-- Where a tenant's extensions may come from; no row: from anywhere.
create table artifact_policies (
    tenant_id   text primary key references tenants,
    spec        jsonb not null,                          -- ArtifactPolicySpec
    version     bigint not null default 1,               -- the ETag
    updated_by  text not null,
    updated_at  timestamptz not null
);

-- How clusters join the tenant; a tenant that has none lets in whoever shows a token.
create table joining_policies (
    tenant_id   text primary key references tenants,
    approval    boolean not null,                        -- whoever joins waits for an admin
    version     bigint not null default 1,               -- the ETag
    updated_by  text not null,
    updated_at  timestamptz not null
);

-- When rollouts may release: freezes and windows, by name.
create table freezes (
    tenant_id   text not null references tenants,
    name        text not null,
    spec        jsonb not null,                          -- FreezeSpec
    version     bigint not null default 1,               -- the ETag
    created_by  text not null,
    created_at  timestamptz not null,
    updated_at  timestamptz not null,
    primary key (tenant_id, name)
);

create table rollout_stages (
    tenant_id      text not null,
    rollout_id     uuid not null,
    stage          integer not null,
    name           text not null,
    total          integer not null default 0,
    -- kept in step with the targets by the statements that move them
    to_apply       integer not null default 0,
    in_flight      integer not null default 0,
    succeeded      integer not null default 0,
    failed         integer not null default 0,
    skipped        integer not null default 0,
    forgiven       integer not null default 0,           -- failures before an operator resumed
    opened_at      timestamptz,
    passed_at      timestamptz,
    approved_at    timestamptz,
    approved_by    text,
    primary key (tenant_id, rollout_id, stage),
    foreign key (tenant_id, rollout_id) references rollouts on delete cascade
);

create table rollout_targets (
    tenant_id         text not null,
    rollout_id        uuid not null,
    cluster_id        uuid not null,
    stage             integer not null,
    position          integer not null,                  -- release order over the whole rollout
    state             text not null default 'ToApply'
                      check (state in ('ToApply','Released','Applying','Verifying','Succeeded','Failed',
                                       'TimedOut','Skipped')),
    skip_reason       text check (skip_reason in ('Offline','NotNow','Deregistered')),
    goal_revision     integer not null,                  -- 0: absent
    goal_digest       text not null,                     -- resolved spec; for absent the one that is there
    goal_absent       boolean not null default false,
    previous_revision integer not null default 0,
    generation        bigint,                            -- of the assignment that the release made
    reason            text,
    message           text not null default '',
    reverted          boolean not null default false,
    released_at       timestamptz,
    ready_since       timestamptz,
    finished_at       timestamptz,
    primary key (tenant_id, rollout_id, cluster_id),
    foreign key (tenant_id, rollout_id) references rollouts on delete cascade
);
create index rollout_targets_in_order on rollout_targets (tenant_id, rollout_id, stage, state, position);

-- What each cluster should run now, and what its agent last said of it.
create table assignments (
    tenant_id          text not null,
    cluster_id         uuid not null,
    extension          text not null,
    -- desired
    revision           integer not null,
    spec_digest        text not null,
    absent             boolean not null default false,
    generation         bigint not null,
    rollout_id         uuid not null,
    released_at        timestamptz not null,
    traceparent        text,
    correction         integer not null default 0,
    accepted_drift     jsonb not null default '[]',
    good_revision      integer,                          -- newest of known_good, for lists
    -- observed: the report with the highest (epoch, sequence)
    epoch              bigint not null default 0,
    sequence           bigint not null default 0,
    observed_generation bigint,
    observed_revision  integer,
    observed_digest    text,
    observed_rollout   uuid,
    phase              text check (phase in ('Applying','Ready','Failed','Removed')),
    reason             text,
    message            text not null default '',
    attempt            integer not null default 0,
    conditions         jsonb not null default '[]',
    seconds            jsonb,
    ready_since        timestamptz,                      -- server time since when it is Ready at this generation
    failed_generation  bigint,                           -- newest generation that a report gave up on,
    failed_reason      text,                             -- whatever was reported after it
    failed_message     text,
    unheld_at          timestamptz,                      -- when it stopped waiting for a dependency, at
                                                         -- this generation: its deadline begins then
    reported_at        timestamptz,
    drift_checked_at   timestamptz,
    primary key (tenant_id, cluster_id, extension),
    foreign key (tenant_id, cluster_id) references clusters
);
create index assignments_by_extension on assignments (tenant_id, extension, cluster_id);
create index assignments_by_spec on assignments (tenant_id, spec_digest);

-- What was Ready on a cluster through its soak: where a rollback may go.
create table known_good (
    tenant_id   text not null,
    cluster_id  uuid not null,
    extension   text not null,
    revision    integer not null,
    spec_digest text not null,
    since       timestamptz not null,
    primary key (tenant_id, cluster_id, extension, revision, spec_digest),
    foreign key (tenant_id, cluster_id) references clusters
);
create index known_good_by_spec on known_good (tenant_id, spec_digest);

-- Clusters whose place under an extension has to be looked at again: they joined, left, changed
-- their labels, or came back after a rollout that skipped them. A pacer makes one rollout of many.
create table reconsiderations (
    tenant_id   text not null,
    extension   text not null,
    cluster_id  uuid not null,
    since       timestamptz not null default now(),
    primary key (tenant_id, extension, cluster_id),
    foreign key (tenant_id, extension) references extensions on delete cascade,
    foreign key (tenant_id, cluster_id) references clusters
);

-- A rollout's targets with what is known of their clusters, as the planner is told.
create view target_views with (security_invoker = true) as
select t.tenant_id, t.rollout_id, t.cluster_id, c.name as cluster, t.stage, t.position, t.state,
       t.skip_reason, t.goal_revision, t.goal_digest, t.goal_absent, t.generation, t.released_at,
       t.ready_since, t.reverted,
       c.state = 'Connected' as connected,
       case when c.state <> 'Connected' then s.last_heartbeat end as silent_since,
       c.not_now_until,
       c.state in ('Revoked','Deregistered') as gone,
       a.observed_rollout, a.observed_digest, a.observed_generation, a.phase as report_phase,
       a.reason as report_reason, a.message as report_message,
       a.ready_since as report_ready_since, a.unheld_at as report_unheld_at,
       coalesce(a.observed_rollout = t.rollout_id and a.observed_digest = t.goal_digest
                and a.observed_generation = t.generation, false) as report_counts,
       a.failed_generation, a.failed_reason, a.failed_message
from rollout_targets t
join rollouts r on r.tenant_id = t.tenant_id and r.rollout_id = t.rollout_id
join clusters c on c.tenant_id = t.tenant_id and c.cluster_id = t.cluster_id
left join sessions s on s.tenant_id = t.tenant_id and s.cluster_id = t.cluster_id
-- `limit 1` keeps this a look-up by key for each target: while the table's statistics are young, the
-- planner would otherwise read all assignments of the extension for each of them.
left join lateral (
    select x.observed_rollout, x.observed_digest, x.observed_generation, x.phase, x.reason,
           x.message, x.ready_since, x.unheld_at, x.failed_generation, x.failed_reason,
           x.failed_message
    from assignments x
    where x.tenant_id = t.tenant_id and x.cluster_id = t.cluster_id and x.extension = r.extension
    limit 1
) a on true;
grant select on target_views to arcbridge_app, arcbridge_platform;

-- What keeps one target from being released: extensions that it depends on and that are not Ready
-- there as they should be, or, for a removal, extensions still there that depend on it. `coming`:
-- rollouts that have to reach the cluster first. Written to be inlined into the statement.
create function target_lacks(tenant text, cluster uuid, subject text, removing boolean,
                             needed text[], coming uuid[])
returns table (extension text, found text, since timestamptz)
language sql stable
begin atomic
    select d.name,
           case when a.extension is null or a.absent then 'Absent'
                when c.rollout_id is not null then 'Coming'
                when a.failed_generation = a.generation then 'Failed'
                else 'NotReady' end,
           case when a.failed_generation = a.generation then a.reported_at
                else coalesce(c.created_at, a.released_at) end
    from unnest(needed) as d(name)
    left join assignments a on a.tenant_id = tenant and a.cluster_id = cluster
                           and a.extension = d.name
    left join lateral (
        select r.rollout_id, r.created_at
        from unnest(coming) as w(rollout_id)
        join rollouts r on r.tenant_id = tenant and r.rollout_id = w.rollout_id
                       and r.extension = d.name
        join rollout_targets t on t.tenant_id = tenant and t.rollout_id = w.rollout_id
                              and t.cluster_id = cluster and t.state = 'ToApply'
        limit 1
    ) c on true
    where not removing
      and (c.rollout_id is not null
           or not coalesce(not a.absent and a.phase = 'Ready' and a.spec_digest = a.observed_digest
                           and a.observed_generation = a.generation, false))
    union all
    select a.extension, 'Depends', a.released_at
    from assignments a
    join revisions v on v.tenant_id = a.tenant_id and v.extension = a.extension
                    and v.number = a.revision
    where removing and a.tenant_id = tenant and a.cluster_id = cluster
      and subject = any(v.depends_on)
      and not (a.absent and a.phase is not distinct from 'Removed'
               and a.observed_generation is not distinct from a.generation);
end;

-- Each event id that was stored, so that a replay is known for what it is.
create table status_events (
    tenant_id    text not null,
    cluster_id   uuid not null,
    event_id     uuid not null,
    epoch        bigint not null,
    sequence     bigint not null,
    received_at  timestamptz not null default now(),
    body         jsonb not null,
    primary key (tenant_id, cluster_id, event_id, received_at)
) partition by range (received_at);
create table status_events_default partition of status_events default;
create index status_events_by_time on status_events using brin (received_at);

create table drifts (
    tenant_id    text not null,
    drift_id     uuid not null,
    cluster_id   uuid not null,
    extension    text not null,
    kind         text not null check (kind in ('version','manifest','silence')),
    revision     integer not null,
    since        timestamptz not null default now(),
    resolved_at  timestamptz,
    differences  jsonb not null default '[]',
    truncated    boolean not null default false,
    correcting   boolean not null default false,
    correction_asked_at timestamptz,                     -- to be corrected as soon as the pace allows
    primary key (tenant_id, drift_id)
);
create unique index drifts_open on drifts (tenant_id, cluster_id, extension, kind) where resolved_at is null;
create index drifts_to_correct on drifts (tenant_id, extension, correction_asked_at)
    where correction_asked_at is not null and resolved_at is null;

-- Wake-ups to send; written in the transaction of what they tell of.
create table outbox (
    tenant_id    text not null,
    outbox_id    bigint generated always as identity,
    cluster_id   uuid not null,
    topic        text not null check (topic in ('desired','revoked')),
    traceparent  text,
    created_at   timestamptz not null default now(),
    primary key (tenant_id, outbox_id)
);
create index outbox_in_order on outbox (outbox_id);

-- The audit trail: append-only for every role, chained by hash within a tenant.
create table events (
    tenant_id     text not null,
    sequence      bigint not null,
    at            timestamptz not null,
    actor         text not null,
    address       text,
    action        text not null,
    subject       text not null,
    reason        text,
    message       text not null default '',
    data          jsonb not null default '{}',
    trace_id      text,
    previous_hash text not null,
    hash          text not null,
    primary key (tenant_id, sequence)
);
create index events_by_subject on events (tenant_id, subject, sequence desc);
create table event_heads (
    tenant_id  text primary key references tenants,
    sequence   bigint not null default 0,
    hash       text not null default ''
);

create table idempotency_keys (
    tenant_id    text not null,
    key          text not null,
    route        text not null,
    request_sha  text not null,
    status       integer,
    response     jsonb,
    created_at   timestamptz not null default now(),
    primary key (tenant_id, key)
);

-- What a new row of a table has where nothing is said: for rows that come from an older release.
create function row_defaults(of regclass) returns jsonb language plpgsql stable as $$
declare
    listed text;
    found jsonb := '{}';
begin
    select string_agg(format('%s as %I', pg_get_expr(d.adbin, d.adrelid), a.attname), ', ') into listed
    from pg_attrdef d
    join pg_attribute a on a.attrelid = d.adrelid and a.attnum = d.adnum
    where d.adrelid = of and a.attgenerated = '' and not a.attisdropped;
    if listed is not null then
        execute 'select to_jsonb(r) from (select ' || listed || ') r' into found;
    end if;
    return found;
end
$$;

do $$
declare t text;
begin
    foreach t in array array['bootstrap_tokens','enrolments','clusters','certificates','sessions','inventories',
        'inventory_objects','extensions','revisions','resolved_specs','freezes','artifact_policies','joining_policies','rollouts','rollout_stages',
        'rollout_targets','assignments','known_good',
        'reconsiderations','status_events','drifts','outbox','events','event_heads',
        'idempotency_keys','tenants']
    loop
        execute format('alter table %I enable row level security', t);
        execute format('alter table %I force row level security', t);
        execute format('create policy one_tenant on %I to arcbridge_app
            using (tenant_id = current_setting(''arcbridge.tenant'', true))
            with check (tenant_id = current_setting(''arcbridge.tenant'', true))', t);
        execute format('create policy all_tenants on %I to arcbridge_platform using (true) with check (true)', t);
        execute format('grant select, insert, update, delete on %I to arcbridge_app, arcbridge_platform', t);
    end loop;
    revoke update, delete on events from arcbridge_app, arcbridge_platform;
    revoke insert, update, delete on tenants from arcbridge_app;
end
$$;
