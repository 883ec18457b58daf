-- name: list
-- A page of open drifts, oldest first; with an id only that one.
select d.drift_id, d.cluster_id, c.name as cluster, d.extension, d.kind, d.revision, d.since,
       d.differences, d.truncated, d.correcting, d.correction_asked_at
from drifts d
join clusters c on c.tenant_id = d.tenant_id and c.cluster_id = d.cluster_id
where d.tenant_id = %(tenant)s and d.resolved_at is null
  and (%(id)s::uuid is null or d.drift_id = %(id)s)
  and (%(cluster)s::text is null or c.name = %(cluster)s)
  and (%(extension)s::text is null or d.extension = %(extension)s)
  and (%(kind)s::text is null or d.kind = %(kind)s)
  and (%(after_since)s::timestamptz is null
       or (d.since, d.drift_id) > (%(after_since)s, %(after_id)s::uuid))
order by d.since, d.drift_id
limit %(limit)s;

-- name: lock_assignment
-- Take the assignment that a drift is of, before the drift: reports take them in this order.
select a.extension
from drifts d
join assignments a on a.tenant_id = d.tenant_id and a.cluster_id = d.cluster_id
                  and a.extension = d.extension
where d.tenant_id = %(tenant)s and d.drift_id = %(id)s
for no key update of a;

-- name: lock
-- Take an open drift's row.
select drift_id from drifts
where tenant_id = %(tenant)s and drift_id = %(id)s and resolved_at is null
for update;

-- name: ask_correction
-- The agent sets the drift right once: the counter in its desired document grows.
update assignments set correction = correction + 1
where tenant_id = %(tenant)s and cluster_id = %(cluster_id)s and extension = %(extension)s
  and not absent
returning correction;

-- name: mark_correcting
-- A correction was asked for.
update drifts set correcting = true, correction_asked_at = null
where tenant_id = %(tenant)s and drift_id = %(id)s;

-- name: correctable
-- Open drifts of one extension's objects that nobody corrects yet, with their clusters' labels.
select d.drift_id, c.labels
from drifts d
join clusters c on c.tenant_id = d.tenant_id and c.cluster_id = d.cluster_id
where d.tenant_id = %(tenant)s and d.extension = %(extension)s and d.kind = 'manifest'
  and d.resolved_at is null and not d.correcting and d.correction_asked_at is null
order by d.since, d.drift_id
limit %(limit)s;

-- name: ask_corrections
-- These drifts are to be corrected as the pace allows.
update drifts set correction_asked_at = %(now)s
where tenant_id = %(tenant)s and drift_id = any(%(ids)s::uuid[]) and resolved_at is null
  and not correcting and correction_asked_at is null;

-- name: waiting_corrections
-- Extensions with drifts that wait to be corrected, over all tenants; those that wait longest first.
select tenant_id, extension
from drifts
where correction_asked_at is not null and resolved_at is null
group by tenant_id, extension
order by min(correction_asked_at)
limit %(limit)s;

-- name: count_waiting_corrections
-- How many drifts of an extension wait to be corrected.
select count(*) from drifts
where tenant_id = %(tenant)s and extension = %(extension)s
  and correction_asked_at is not null and resolved_at is null;

-- name: newest_spec
-- What an extension's newest revision that may be used says.
select spec from revisions
where tenant_id = %(tenant)s and extension = %(extension)s and state <> 'Quarantined'
order by number desc
limit 1;

-- name: release_corrections
-- Ask the agents of the next drifts to set them right, as many as there are tokens. What a report has
-- in hand is left for the next time. Where the extension is no longer wanted, nothing is asked.
with due as (
    select d.drift_id, d.cluster_id, a.absent
    from drifts d
    join assignments a on a.tenant_id = d.tenant_id and a.cluster_id = d.cluster_id
                      and a.extension = d.extension
    where d.tenant_id = %(tenant)s and d.extension = %(extension)s
      and d.correction_asked_at is not null and d.resolved_at is null
    order by d.correction_asked_at, d.drift_id
    limit %(tokens)s
    for no key update of a skip locked
), marked as (
    update drifts d
    set correcting = not due.absent, correction_asked_at = null
    from due
    where d.tenant_id = %(tenant)s and d.drift_id = due.drift_id and d.resolved_at is null
      and d.correction_asked_at is not null
    returning d.drift_id, d.cluster_id, d.correcting
), asked as (
    update assignments a
    set correction = a.correction + 1
    from marked
    where a.tenant_id = %(tenant)s and a.cluster_id = marked.cluster_id
      and a.extension = %(extension)s and marked.correcting
    returning a.cluster_id, a.correction
), woken as (
    insert into outbox (tenant_id, cluster_id, topic)
    select %(tenant)s, asked.cluster_id, 'desired' from asked
)
select marked.drift_id, asked.correction, c.name as cluster
from marked
join asked on asked.cluster_id = marked.cluster_id
join clusters c on c.tenant_id = %(tenant)s and c.cluster_id = marked.cluster_id
order by marked.drift_id;

-- name: lock_acceptances
-- The differences that are accepted on this cluster.
select accepted_drift from assignments
where tenant_id = %(tenant)s and cluster_id = %(cluster_id)s and extension = %(extension)s
  and not absent
for update;

-- name: accept
-- The differences that are accepted from now on.
update assignments set accepted_drift = %(accepted)s
where tenant_id = %(tenant)s and cluster_id = %(cluster_id)s and extension = %(extension)s;

-- name: wake
-- Tell the cluster's agent that its desired document changed.
insert into outbox (tenant_id, cluster_id, topic, traceparent)
values (%(tenant)s, %(cluster_id)s, 'desired', %(traceparent)s);

-- name: sweep
-- One pass over the fleet. Version drift: what was released some time ago is not what is applied,
-- and no rollout is at work on it. Silence: an agent that is connected has not looked for three of
-- its intervals. Opens what is new, as many as ids were given; closes what is over. Differences of
-- live objects are opened by status reports; here they are closed with what they belong to.
with fleet as (
    select a.tenant_id, a.cluster_id, a.extension, a.revision, a.absent, c.state as cluster_state,
           c.state = 'Connected'
           and a.released_at < %(now)s - %(grace)s::interval
           and (a.observed_generation is distinct from a.generation
                or not a.absent and a.observed_digest is distinct from a.spec_digest)
           and not (a.absent and a.phase is not distinct from 'Removed')
           and not exists (
               select from rollout_targets t
               where t.tenant_id = a.tenant_id and t.rollout_id = a.rollout_id
                 and t.cluster_id = a.cluster_id
                 and t.state in ('Released', 'Applying', 'Verifying')
           ) as version,
           c.state = 'Connected' and not a.absent and a.phase is not distinct from 'Ready'
           and coalesce(r.spec #>> '{drift,mode}', 'warn') <> 'off'
           and greatest(a.drift_checked_at, a.reported_at, a.released_at, c.state_since)
               < %(now)s - 3 * coalesce(r.spec #>> '{drift,interval}', '10m')::interval as silence
    from assignments a
    join clusters c on c.tenant_id = a.tenant_id and c.cluster_id = a.cluster_id
    left join resolved_specs r on r.tenant_id = a.tenant_id and r.digest = a.spec_digest
    where c.deregistered_at is null
), found as (
    select fleet.tenant_id, fleet.cluster_id, fleet.extension, fleet.revision, kinds.kind
    from fleet
    cross join lateral (values ('version', fleet.version), ('silence', fleet.silence))
        as kinds(kind, is_so)
    where kinds.is_so
), fresh as (
    select found.*, row_number() over (order by found.tenant_id, found.cluster_id) as place
    from found
    where not exists (
        select from drifts d
        where d.tenant_id = found.tenant_id and d.cluster_id = found.cluster_id
          and d.extension = found.extension and d.kind = found.kind and d.resolved_at is null
    )
), opened as (
    insert into drifts (tenant_id, drift_id, cluster_id, extension, kind, revision, since)
    select fresh.tenant_id, ids.id, fresh.cluster_id, fresh.extension, fresh.kind, fresh.revision,
           %(now)s
    from fresh
    join unnest(%(ids)s::uuid[]) with ordinality as ids(id, place) on ids.place = fresh.place
    on conflict (tenant_id, cluster_id, extension, kind) where resolved_at is null do nothing
    returning tenant_id, cluster_id, extension, kind, revision
), over as (
    select d.tenant_id, d.drift_id
    from drifts d
    left join fleet f on f.tenant_id = d.tenant_id and f.cluster_id = d.cluster_id
                     and f.extension = d.extension
    where d.resolved_at is null
      and (f.extension is null
           or d.kind = 'manifest' and f.absent
           -- of a cluster that is away nothing new is known
           or d.kind = 'version' and f.cluster_state = 'Connected' and not f.version
           or d.kind = 'silence' and f.cluster_state = 'Connected' and not f.silence)
), closed as (
    update drifts d set resolved_at = %(now)s, correcting = false
    from over
    where d.tenant_id = over.tenant_id and d.drift_id = over.drift_id
    returning d.tenant_id, d.cluster_id, d.extension, d.kind, d.revision
), changes as (
    select true as is_open, opened.* from opened
    union all
    select false, closed.* from closed
)
select changes.is_open, changes.tenant_id, changes.cluster_id, changes.extension, changes.kind,
       changes.revision, c.name as cluster
from changes
join clusters c on c.tenant_id = changes.tenant_id and c.cluster_id = changes.cluster_id
order by changes.tenant_id, changes.cluster_id, changes.extension, changes.kind;
