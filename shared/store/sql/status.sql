-- Status reports: what agents say of their extensions.

-- name: admit
-- The cluster with its newest session, held until the report is stored, so that a newer one comes after
-- it; and the assignments that a batch speaks of, taken in order of name. One row without an assignment
-- where it speaks of none.
with cluster as materialized (
    select s.epoch as newest_epoch, c.name, c.not_now_until
    from clusters c
    left join sessions s on s.tenant_id = c.tenant_id and s.cluster_id = c.cluster_id
    where c.tenant_id = %(tenant)s and c.cluster_id = %(cluster)s
      and c.state not in ('Deregistered','Revoked')
    for share of c
), taken as materialized (
    select extension, revision, spec_digest, absent, generation, rollout_id, correction, epoch, sequence,
           observed_generation, observed_revision, observed_digest, observed_rollout, phase, reason,
           message, attempt, conditions, seconds, ready_since, failed_generation, failed_reason,
           failed_message, unheld_at, drift_checked_at
    from assignments
    where tenant_id = %(tenant)s and cluster_id = %(cluster)s
      and extension = any(%(extensions)s::text[]) and exists (select from cluster)
    order by extension
    for no key update
)
select cluster.newest_epoch, cluster.name, cluster.not_now_until, taken.*
from cluster
left join taken on true

-- name: set_not_now
-- Until when the cluster asks to be left alone.
update clusters
set not_now_until = %(until)s
where tenant_id = %(tenant)s and cluster_id = %(cluster)s

-- name: take_in
-- Store what the newest reports say, keep the events themselves, and end the silence of their
-- extensions.
with said as (
    select e.id, e.sequence, e.body
    from jsonb_to_recordset(%(events)s) as e(id uuid, sequence bigint, body jsonb)
), kept as (
    insert into status_events (tenant_id, cluster_id, event_id, epoch, sequence, received_at, body)
    select %(tenant)s, %(cluster)s, said.id, %(epoch)s, said.sequence, %(now)s, said.body
    from said
    on conflict do nothing
), heard as (
    update drifts
    set resolved_at = %(now)s
    where tenant_id = %(tenant)s and cluster_id = %(cluster)s and kind = 'silence'
      and resolved_at is null and extension in (select said.body ->> 'extension' from said)
)
update assignments a
set epoch = o.epoch,
    sequence = o.sequence,
    observed_generation = o.observed_generation,
    observed_revision = o.observed_revision,
    observed_digest = o.observed_digest,
    observed_rollout = o.observed_rollout,
    phase = o.phase,
    reason = o.reason,
    message = o.message,
    attempt = o.attempt,
    conditions = o.conditions,
    seconds = o.seconds,
    ready_since = o.ready_since,
    failed_generation = o.failed_generation,
    failed_reason = o.failed_reason,
    failed_message = o.failed_message,
    unheld_at = o.unheld_at,
    drift_checked_at = coalesce(o.drift_checked_at, a.drift_checked_at),
    reported_at = %(now)s
from jsonb_to_recordset(%(observations)s) as o(extension text, epoch bigint, sequence bigint,
     observed_generation bigint, observed_revision int, observed_digest text, observed_rollout uuid,
     phase text, reason text, message text, attempt int, conditions jsonb, seconds jsonb,
     ready_since timestamptz, failed_generation bigint, failed_reason text, failed_message text,
     unheld_at timestamptz, drift_checked_at timestamptz)
where a.tenant_id = %(tenant)s and a.cluster_id = %(cluster)s and a.extension = o.extension

-- name: waiting_on
-- Rollouts under way that what became of these extensions on a cluster may let go on: those of
-- extensions that depend on them, and removals of what they depended on.
select r.rollout_id
from rollouts r
left join revisions v on v.tenant_id = r.tenant_id and v.extension = r.extension
                     and v.number = r.revision
where r.tenant_id = %(tenant)s and r.state in ('Pending','Running')
  and (v.depends_on && %(ready)s::text[]
       or exists (select from revisions w
                  where w.tenant_id = %(tenant)s and w.extension = any(%(removed)s::text[])
                    and w.depends_on @> array[r.extension]))

-- name: open_drift
-- Open a drift, or replace the differences of the one that is open. `opened` tells which.
insert into drifts (tenant_id, drift_id, cluster_id, extension, kind, revision, since, differences,
                    truncated)
values (%(tenant)s, %(drift)s, %(cluster)s, %(extension)s, 'manifest', %(revision)s, %(now)s,
        %(differences)s, %(truncated)s)
on conflict (tenant_id, cluster_id, extension, kind) where resolved_at is null do update
set differences = excluded.differences, truncated = excluded.truncated, revision = excluded.revision
returning drift_id = %(drift)s as opened, correcting

-- name: close_drift
-- The differences are gone.
update drifts
set resolved_at = %(now)s, correcting = false
where tenant_id = %(tenant)s and cluster_id = %(cluster)s and extension = %(extension)s
  and kind = 'manifest' and resolved_at is null
returning drift_id

-- name: correction_done
-- The agent has acted on the newest correction that was asked for.
update drifts d
set correcting = false
from assignments a
where d.tenant_id = %(tenant)s and d.cluster_id = %(cluster)s and d.extension = %(extension)s
  and d.resolved_at is null and d.correcting
  and a.tenant_id = d.tenant_id and a.cluster_id = d.cluster_id and a.extension = d.extension
  and a.correction <= %(correction)s
