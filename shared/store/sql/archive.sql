-- A tenant out of the database and into one: whole rows as JSON, on purpose without a list of
-- columns, so that a column that comes later is never lost on the way. `read_*` goes on after the key
-- in %(after)s, a JSON array; `take_*` puts rows in, with the defaults of what an older release did not
-- have, and gives back what stands there then, so that who asked can compare. Parents come before
-- children.

-- name: in_utc
-- Have times written the same on every server.
select set_config('TimeZone', 'UTC', true);

-- name: holds_anything
-- Whether a tenant has anything but its audit trail.
select exists (select from clusters where tenant_id = %(tenant)s)
    or exists (select from extensions where tenant_id = %(tenant)s)
    or exists (select from freezes where tenant_id = %(tenant)s)
    or exists (select from artifact_policies where tenant_id = %(tenant)s)
    or exists (select from joining_policies where tenant_id = %(tenant)s)
    or exists (select from resolved_specs where tenant_id = %(tenant)s)
    or exists (select from bootstrap_tokens where tenant_id = %(tenant)s) as holds;

-- name: make_tenant
-- A tenant that is filled from a file; nothing happens when the name is known.
insert into tenants (tenant_id, state, quotas, created_at, importing)
values (%(tenant)s, 'Suspended', %(quotas)s, %(created_at)s, %(file)s)
on conflict (tenant_id) do nothing;

-- name: lock_tenant
-- Take a tenant's row before it is filled, or read out.
select state, quotas, created_at, importing, purged_at is not null as purged
from tenants
where tenant_id = %(tenant)s
for update;

-- name: begin_import
-- Let the file fill an empty tenant, which nobody may use meanwhile.
update tenants
set state = 'Suspended', quotas = %(quotas)s, created_at = %(created_at)s, purged_at = null,
    importing = %(file)s
where tenant_id = %(tenant)s;

-- name: end_import
-- The file is in.
update tenants set importing = null where tenant_id = %(tenant)s;

-- name: hash_at
-- The hash of one entry of the trail.
select hash from events where tenant_id = %(tenant)s and sequence = %(sequence)s;

-- name: set_head
-- Where the trail ends that a file brought; one that is longer here stays so.
insert into event_heads (tenant_id, sequence, hash) values (%(tenant)s, %(sequence)s, %(hash)s)
on conflict (tenant_id) do update
set sequence = excluded.sequence, hash = excluded.hash
where event_heads.sequence < excluded.sequence;

-- name: count_all
-- How many rows of each kind there are; of the trail those up to %(sequence)s.
select
    (select count(*) from clusters where tenant_id = %(tenant)s) as clusters,
    (select count(*) from certificates where tenant_id = %(tenant)s) as certificates,
    (select count(*) from sessions where tenant_id = %(tenant)s) as sessions,
    (select count(*) from extensions where tenant_id = %(tenant)s) as extensions,
    (select count(*) from revisions where tenant_id = %(tenant)s) as revisions,
    (select count(*) from resolved_specs where tenant_id = %(tenant)s) as resolved_specs,
    (select count(*) from freezes where tenant_id = %(tenant)s) as freezes,
    (select count(*) from artifact_policies where tenant_id = %(tenant)s) as artifact_policies,
    (select count(*) from joining_policies where tenant_id = %(tenant)s) as joining_policies,
    (select count(*) from rollouts where tenant_id = %(tenant)s) as rollouts,
    (select count(*) from rollout_stages where tenant_id = %(tenant)s) as rollout_stages,
    (select count(*) from rollout_targets where tenant_id = %(tenant)s) as rollout_targets,
    (select count(*) from assignments where tenant_id = %(tenant)s) as assignments,
    (select count(*) from known_good where tenant_id = %(tenant)s) as known_good,
    (select count(*) from reconsiderations where tenant_id = %(tenant)s) as reconsiderations,
    (select count(*) from drifts where tenant_id = %(tenant)s) as drifts,
    (select count(*) from events where tenant_id = %(tenant)s and sequence <= %(sequence)s) as events;

-- name: read_clusters
-- Connected and deregistered clusters, with their labels and states.
select to_jsonb(t) - 'tenant_id' as record, jsonb_build_array(t.cluster_id) as key
from clusters t
where t.tenant_id = %(tenant)s
  and (%(after)s::jsonb is null
       or t.cluster_id > (%(after)s::jsonb ->> 0)::uuid)
order by t.cluster_id
limit %(limit)s;

-- name: read_certificates
-- What was issued to them: serials and public keys; a private key never leaves its cluster.
select to_jsonb(t) - 'tenant_id' as record, jsonb_build_array(t.cluster_id, t.serial) as key
from certificates t
where t.tenant_id = %(tenant)s
  and (%(after)s::jsonb is null
       or (t.cluster_id, t.serial) > ((%(after)s::jsonb ->> 0)::uuid, (%(after)s::jsonb ->> 1)::text))
order by t.cluster_id, t.serial
limit %(limit)s;

-- name: read_sessions
-- The epochs, which must never go back.
select to_jsonb(t) - 'tenant_id' as record, jsonb_build_array(t.cluster_id) as key
from sessions t
where t.tenant_id = %(tenant)s
  and (%(after)s::jsonb is null
       or t.cluster_id > (%(after)s::jsonb ->> 0)::uuid)
order by t.cluster_id
limit %(limit)s;

-- name: read_extensions
-- Extensions, removed ones too.
select to_jsonb(t) - 'tenant_id' as record, jsonb_build_array(t.name) as key
from extensions t
where t.tenant_id = %(tenant)s
  and (%(after)s::jsonb is null
       or t.name > (%(after)s::jsonb ->> 0)::text)
order by t.name
limit %(limit)s;

-- name: read_revisions
-- Every revision with its spec: placements, overrides and policies stand in it.
select to_jsonb(t) - 'tenant_id' as record, jsonb_build_array(t.extension, t.number) as key
from revisions t
where t.tenant_id = %(tenant)s
  and (%(after)s::jsonb is null
       or (t.extension, t.number) > ((%(after)s::jsonb ->> 0)::text, (%(after)s::jsonb ->> 1)::int))
order by t.extension, t.number
limit %(limit)s;

-- name: read_resolved_specs
-- What clusters get, overrides flattened.
select to_jsonb(t) - 'tenant_id' as record, jsonb_build_array(t.digest) as key
from resolved_specs t
where t.tenant_id = %(tenant)s
  and (%(after)s::jsonb is null
       or t.digest > (%(after)s::jsonb ->> 0)::text)
order by t.digest
limit %(limit)s;

-- name: read_freezes
-- Freezes and windows.
select to_jsonb(t) - 'tenant_id' as record, jsonb_build_array(t.name) as key
from freezes t
where t.tenant_id = %(tenant)s
  and (%(after)s::jsonb is null
       or t.name > (%(after)s::jsonb ->> 0)::text)
order by t.name
limit %(limit)s;

-- name: read_artifact_policies
-- The tenant's artifact policy, where it has one.
select to_jsonb(t) - 'tenant_id' as record, jsonb_build_array(t.tenant_id) as key
from artifact_policies t
where t.tenant_id = %(tenant)s
  and (%(after)s::jsonb is null
       or t.tenant_id > (%(after)s::jsonb ->> 0)::text)
order by t.tenant_id
limit %(limit)s;

-- name: read_joining_policies
-- The tenant's joining policy, where it has one.
select to_jsonb(t) - 'tenant_id' as record, jsonb_build_array(t.tenant_id) as key
from joining_policies t
where t.tenant_id = %(tenant)s
  and (%(after)s::jsonb is null
       or t.tenant_id > (%(after)s::jsonb ->> 0)::text)
order by t.tenant_id
limit %(limit)s;

-- name: read_rollouts
-- Rollouts, those under way too.
select to_jsonb(t) - 'tenant_id' as record, jsonb_build_array(t.rollout_id) as key
from rollouts t
where t.tenant_id = %(tenant)s
  and (%(after)s::jsonb is null
       or t.rollout_id > (%(after)s::jsonb ->> 0)::uuid)
order by t.rollout_id
limit %(limit)s;

-- name: read_rollout_stages
-- Their stages.
select to_jsonb(t) - 'tenant_id' as record, jsonb_build_array(t.rollout_id, t.stage) as key
from rollout_stages t
where t.tenant_id = %(tenant)s
  and (%(after)s::jsonb is null
       or (t.rollout_id, t.stage) > ((%(after)s::jsonb ->> 0)::uuid, (%(after)s::jsonb ->> 1)::int))
order by t.rollout_id, t.stage
limit %(limit)s;

-- name: read_rollout_targets
-- Their targets.
select to_jsonb(t) - 'tenant_id' as record, jsonb_build_array(t.rollout_id, t.cluster_id) as key
from rollout_targets t
where t.tenant_id = %(tenant)s
  and (%(after)s::jsonb is null
       or (t.rollout_id, t.cluster_id) > ((%(after)s::jsonb ->> 0)::uuid, (%(after)s::jsonb ->> 1)::uuid))
order by t.rollout_id, t.cluster_id
limit %(limit)s;

-- name: read_assignments
-- What each cluster should run, and what its agent last said of it.
select to_jsonb(t) - 'tenant_id' as record, jsonb_build_array(t.cluster_id, t.extension) as key
from assignments t
where t.tenant_id = %(tenant)s
  and (%(after)s::jsonb is null
       or (t.cluster_id, t.extension) > ((%(after)s::jsonb ->> 0)::uuid, (%(after)s::jsonb ->> 1)::text))
order by t.cluster_id, t.extension
limit %(limit)s;

-- name: read_known_good
-- Where a rollback may go.
select to_jsonb(t) - 'tenant_id' as record,
       jsonb_build_array(t.cluster_id, t.extension, t.revision, t.spec_digest) as key
from known_good t
where t.tenant_id = %(tenant)s
  and (%(after)s::jsonb is null
       or (t.cluster_id, t.extension, t.revision, t.spec_digest)
          > ((%(after)s::jsonb ->> 0)::uuid, (%(after)s::jsonb ->> 1)::text,
             (%(after)s::jsonb ->> 2)::int, (%(after)s::jsonb ->> 3)::text))
order by t.cluster_id, t.extension, t.revision, t.spec_digest
limit %(limit)s;

-- name: read_reconsiderations
-- Clusters whose place under an extension is to be looked at.
select to_jsonb(t) - 'tenant_id' as record, jsonb_build_array(t.extension, t.cluster_id) as key
from reconsiderations t
where t.tenant_id = %(tenant)s
  and (%(after)s::jsonb is null
       or (t.extension, t.cluster_id) > ((%(after)s::jsonb ->> 0)::text, (%(after)s::jsonb ->> 1)::uuid))
order by t.extension, t.cluster_id
limit %(limit)s;

-- name: read_drifts
-- Differences that were found.
select to_jsonb(t) - 'tenant_id' as record, jsonb_build_array(t.drift_id) as key
from drifts t
where t.tenant_id = %(tenant)s
  and (%(after)s::jsonb is null
       or t.drift_id > (%(after)s::jsonb ->> 0)::uuid)
order by t.drift_id
limit %(limit)s;

-- name: read_events
-- The audit trail.
select to_jsonb(t) - 'tenant_id' as record, jsonb_build_array(t.sequence) as key
from events t
where t.tenant_id = %(tenant)s
  and (%(after)s::jsonb is null
       or t.sequence > (%(after)s::jsonb ->> 0)::bigint)
order by t.sequence
limit %(limit)s;

-- name: take_clusters
-- Add clusters; those that are there are left as they are, and shown.
insert into clusters as t
select * from jsonb_populate_recordset(null::clusters, (
    select jsonb_agg(d.defaults || r)
    from jsonb_array_elements(%(records)s) r, (select row_defaults('clusters') as defaults) d))
on conflict (tenant_id, cluster_id) do update set tenant_id = excluded.tenant_id
returning to_jsonb(t) - 'tenant_id' as record, t.xmax = 0 as added;

-- name: take_certificates
-- Add certificates; those that are there are left as they are, and shown.
insert into certificates as t
select * from jsonb_populate_recordset(null::certificates, (
    select jsonb_agg(d.defaults || r)
    from jsonb_array_elements(%(records)s) r, (select row_defaults('certificates') as defaults) d))
on conflict (tenant_id, cluster_id, serial) do update set tenant_id = excluded.tenant_id
returning to_jsonb(t) - 'tenant_id' as record, t.xmax = 0 as added;

-- name: take_sessions
-- Add sessions; those that are there are left as they are, and shown.
insert into sessions as t
select * from jsonb_populate_recordset(null::sessions, (
    select jsonb_agg(d.defaults || r)
    from jsonb_array_elements(%(records)s) r, (select row_defaults('sessions') as defaults) d))
on conflict (tenant_id, cluster_id) do update set tenant_id = excluded.tenant_id
returning to_jsonb(t) - 'tenant_id' as record, t.xmax = 0 as added;

-- name: take_extensions
-- Add extensions; those that are there are left as they are, and shown.
insert into extensions as t
select * from jsonb_populate_recordset(null::extensions, (
    select jsonb_agg(d.defaults || r)
    from jsonb_array_elements(%(records)s) r, (select row_defaults('extensions') as defaults) d))
on conflict (tenant_id, name) do update set tenant_id = excluded.tenant_id
returning to_jsonb(t) - 'tenant_id' as record, t.xmax = 0 as added;

-- name: take_revisions
-- Add revisions; those that are there are left as they are, and shown.
insert into revisions as t
select * from jsonb_populate_recordset(null::revisions, (
    select jsonb_agg(d.defaults || r)
    from jsonb_array_elements(%(records)s) r, (select row_defaults('revisions') as defaults) d))
on conflict (tenant_id, extension, number) do update set tenant_id = excluded.tenant_id
returning to_jsonb(t) - 'tenant_id' as record, t.xmax = 0 as added;

-- name: take_resolved_specs
-- Add resolved specs; those that are there are left as they are, and shown.
insert into resolved_specs as t
select * from jsonb_populate_recordset(null::resolved_specs, (
    select jsonb_agg(d.defaults || r)
    from jsonb_array_elements(%(records)s) r, (select row_defaults('resolved_specs') as defaults) d))
on conflict (tenant_id, digest) do update set tenant_id = excluded.tenant_id
returning to_jsonb(t) - 'tenant_id' as record, t.xmax = 0 as added;

-- name: take_freezes
-- Add freezes; those that are there are left as they are, and shown.
insert into freezes as t
select * from jsonb_populate_recordset(null::freezes, (
    select jsonb_agg(d.defaults || r)
    from jsonb_array_elements(%(records)s) r, (select row_defaults('freezes') as defaults) d))
on conflict (tenant_id, name) do update set tenant_id = excluded.tenant_id
returning to_jsonb(t) - 'tenant_id' as record, t.xmax = 0 as added;

-- name: take_artifact_policies
-- Add the artifact policy; one that is there is left as it is, and shown.
insert into artifact_policies as t
select * from jsonb_populate_recordset(null::artifact_policies, (
    select jsonb_agg(d.defaults || r)
    from jsonb_array_elements(%(records)s) r, (select row_defaults('artifact_policies') as defaults) d))
on conflict (tenant_id) do update set tenant_id = excluded.tenant_id
returning to_jsonb(t) - 'tenant_id' as record, t.xmax = 0 as added;

-- name: take_joining_policies
-- Add the joining policy; one that is there is left as it is, and shown.
insert into joining_policies as t
select * from jsonb_populate_recordset(null::joining_policies, (
    select jsonb_agg(d.defaults || r)
    from jsonb_array_elements(%(records)s) r, (select row_defaults('joining_policies') as defaults) d))
on conflict (tenant_id) do update set tenant_id = excluded.tenant_id
returning to_jsonb(t) - 'tenant_id' as record, t.xmax = 0 as added;

-- name: take_rollouts
-- Add rollouts; those that are there are left as they are, and shown.
insert into rollouts as t
select * from jsonb_populate_recordset(null::rollouts, (
    select jsonb_agg(d.defaults || r)
    from jsonb_array_elements(%(records)s) r, (select row_defaults('rollouts') as defaults) d))
on conflict (tenant_id, rollout_id) do update set tenant_id = excluded.tenant_id
returning to_jsonb(t) - 'tenant_id' as record, t.xmax = 0 as added;

-- name: take_rollout_stages
-- Add rollout stages; those that are there are left as they are, and shown.
insert into rollout_stages as t
select * from jsonb_populate_recordset(null::rollout_stages, (
    select jsonb_agg(d.defaults || r)
    from jsonb_array_elements(%(records)s) r, (select row_defaults('rollout_stages') as defaults) d))
on conflict (tenant_id, rollout_id, stage) do update set tenant_id = excluded.tenant_id
returning to_jsonb(t) - 'tenant_id' as record, t.xmax = 0 as added;

-- name: take_rollout_targets
-- Add rollout targets; those that are there are left as they are, and shown.
insert into rollout_targets as t
select * from jsonb_populate_recordset(null::rollout_targets, (
    select jsonb_agg(d.defaults || r)
    from jsonb_array_elements(%(records)s) r, (select row_defaults('rollout_targets') as defaults) d))
on conflict (tenant_id, rollout_id, cluster_id) do update set tenant_id = excluded.tenant_id
returning to_jsonb(t) - 'tenant_id' as record, t.xmax = 0 as added;

-- name: take_assignments
-- Add assignments; those that are there are left as they are, and shown.
insert into assignments as t
select * from jsonb_populate_recordset(null::assignments, (
    select jsonb_agg(d.defaults || r)
    from jsonb_array_elements(%(records)s) r, (select row_defaults('assignments') as defaults) d))
on conflict (tenant_id, cluster_id, extension) do update set tenant_id = excluded.tenant_id
returning to_jsonb(t) - 'tenant_id' as record, t.xmax = 0 as added;

-- name: take_known_good
-- Add known good; those that are there are left as they are, and shown.
insert into known_good as t
select * from jsonb_populate_recordset(null::known_good, (
    select jsonb_agg(d.defaults || r)
    from jsonb_array_elements(%(records)s) r, (select row_defaults('known_good') as defaults) d))
on conflict (tenant_id, cluster_id, extension, revision, spec_digest) do update
set tenant_id = excluded.tenant_id
returning to_jsonb(t) - 'tenant_id' as record, t.xmax = 0 as added;

-- name: take_reconsiderations
-- Add reconsiderations; those that are there are left as they are, and shown.
insert into reconsiderations as t
select * from jsonb_populate_recordset(null::reconsiderations, (
    select jsonb_agg(d.defaults || r)
    from jsonb_array_elements(%(records)s) r, (select row_defaults('reconsiderations') as defaults) d))
on conflict (tenant_id, extension, cluster_id) do update set tenant_id = excluded.tenant_id
returning to_jsonb(t) - 'tenant_id' as record, t.xmax = 0 as added;

-- name: take_drifts
-- Add drifts; those that are there are left as they are, and shown.
insert into drifts as t
select * from jsonb_populate_recordset(null::drifts, (
    select jsonb_agg(d.defaults || r)
    from jsonb_array_elements(%(records)s) r, (select row_defaults('drifts') as defaults) d))
on conflict (tenant_id, drift_id) do update set tenant_id = excluded.tenant_id
returning to_jsonb(t) - 'tenant_id' as record, t.xmax = 0 as added;

-- name: take_events
-- Add entries; those that are there are left alone.
insert into events
select * from jsonb_populate_recordset(null::events, (
    select jsonb_agg(d.defaults || r)
    from jsonb_array_elements(%(records)s) r, (select row_defaults('events') as defaults) d))
on conflict (tenant_id, sequence) do nothing
returning to_jsonb(events) - 'tenant_id' as record, true as added;

-- name: stand_events
-- Entries that are there already.
select to_jsonb(t) - 'tenant_id' as record
from events t
where t.tenant_id = %(tenant)s and t.sequence = any(%(sequences)s::bigint[]);
