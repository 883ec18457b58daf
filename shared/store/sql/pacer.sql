-- What the pacer reads and writes: a bounded view of one rollout, and decisions carried out in sets.
-- Counters of stages are moved by the very statements that move the targets.

-- name: due_rollouts
-- Rollouts that something may happen to by now, over all tenants that are active; the longest due
-- first. Those of a suspended tenant rest: its agents cannot report, and none of that is a failure.
select r.tenant_id, r.rollout_id
from rollouts r
where r.state in ('Pending','Running','Paused','AwaitingApproval') and r.plan_after <= %(now)s
  and exists (select from tenants t where t.tenant_id = r.tenant_id and t.state = 'Active')
order by r.plan_after
limit %(limit)s

-- name: lock_rollout
-- Take the rollout's row, waiting for whoever has it.
select r.rollout_id, r.extension, r.kind, r.state, r.revision, r.strategy, r.created_at, r.created_by,
       r.waiting_for, r.pacing, r.planned_at, r.plan_after, r.traceparent, r.rollback_of,
       r.freeze_override_until,
       coalesce(v.state = 'Quarantined', false) as quarantined,
       case when r.strategy #> '{pace,perSource}' is not null then v.spec -> 'source' end as source,
       coalesce(v.depends_on, '{}') as depends_on,
       exists (select from revisions d
               where d.tenant_id = r.tenant_id and d.depends_on @> array[r.extension]) as is_needed
from rollouts r
left join revisions v on v.tenant_id = r.tenant_id and v.extension = r.extension
                     and v.number = r.revision
where r.tenant_id = %(tenant)s and r.rollout_id = %(rollout)s
for no key update of r

-- name: try_lock_rollout
-- Take the rollout's row, or nothing while another pacer has it.
select r.rollout_id, r.extension, r.kind, r.state, r.revision, r.strategy, r.created_at, r.created_by,
       r.waiting_for, r.pacing, r.planned_at, r.plan_after, r.traceparent, r.rollback_of,
       r.freeze_override_until,
       coalesce(v.state = 'Quarantined', false) as quarantined,
       case when r.strategy #> '{pace,perSource}' is not null then v.spec -> 'source' end as source,
       coalesce(v.depends_on, '{}') as depends_on,
       exists (select from revisions d
               where d.tenant_id = r.tenant_id and d.depends_on @> array[r.extension]) as is_needed
from rollouts r
left join revisions v on v.tenant_id = r.tenant_id and v.extension = r.extension
                     and v.number = r.revision
where r.tenant_id = %(tenant)s and r.rollout_id = %(rollout)s
for no key update of r skip locked

-- name: read_rollout
-- A rollout without taking it, for those who only want to know what its targets wait for.
select r.rollout_id, r.extension, r.kind, r.state, r.strategy, r.created_at, r.waiting_for,
       r.freeze_override_until, coalesce(v.state = 'Quarantined', false) as quarantined,
       coalesce(v.depends_on, '{}') as depends_on,
       exists (select from revisions d
               where d.tenant_id = r.tenant_id and d.depends_on @> array[r.extension]) as is_needed
from rollouts r
left join revisions v on v.tenant_id = r.tenant_id and v.extension = r.extension
                     and v.number = r.revision
where r.tenant_id = %(tenant)s and r.rollout_id = %(rollout)s

-- name: forgive_absence
-- Nobody looked at the rollout when it was due: that time is not the targets' fault, whose agents
-- could not report either.
update rollout_targets t
set released_at = t.released_at + %(absence)s::interval
where t.tenant_id = %(tenant)s and t.rollout_id = %(rollout)s and t.state in ('Released','Applying')

-- name: running_rollback
-- The rollback of the extension that a forward rollout waits for.
select rollout_id
from rollouts
where tenant_id = %(tenant)s and extension = %(extension)s and kind = 'rollback'
  and state in ('Pending','Running','Paused','AwaitingApproval') and rollout_id <> %(rollout)s

-- name: coming
-- Rollouts of dependencies that have to reach a cluster before this one: those that began earlier,
-- and rollbacks.
select rollout_id
from rollouts
where tenant_id = %(tenant)s and extension = any(%(needed)s::text[])
  and state in ('Pending','Running','Paused','AwaitingApproval')
  and (kind = 'rollback' or rollout_id < %(rollout)s)

-- name: stages
-- The stages in order, with the oldest of the targets in flight.
select s.stage, s.name, s.total, s.to_apply, s.in_flight, s.succeeded, s.failed, s.skipped,
       s.forgiven, s.opened_at, s.passed_at, s.approved_at, f.first_release, f.first_ready
from rollout_stages s
left join lateral (
    select min(t.released_at) filter (where t.state in ('Released','Applying')) as first_release,
           min(t.ready_since) filter (where t.state = 'Verifying') as first_ready
    from rollout_targets t
    where t.tenant_id = s.tenant_id and t.rollout_id = s.rollout_id and t.stage = s.stage
      and t.state in ('Released','Applying','Verifying')
) f on s.in_flight > 0
where s.tenant_id = %(tenant)s and s.rollout_id = %(rollout)s
order by s.stage

-- name: in_flight
-- Targets in flight that a report, a deadline or a soak's end may move. It may answer with more than
-- the planner moves, never with fewer.
select v.cluster_id, v.cluster, v.stage, v.position, v.state, v.skip_reason, v.goal_digest,
       v.goal_absent, v.generation, v.released_at, v.ready_since, v.connected, v.silent_since,
       v.not_now_until, v.gone, v.observed_rollout, v.observed_digest, v.observed_generation,
       v.report_phase, v.report_reason, v.report_message, v.report_ready_since, v.report_unheld_at,
       v.failed_generation, v.failed_reason, v.failed_message
from unnest(%(stages)s::int[], %(soaks)s::interval[]) as w(stage, soak)
join target_views v on v.stage = w.stage
where v.tenant_id = %(tenant)s and v.rollout_id = %(rollout)s
  and v.state in ('Released','Applying','Verifying')
  and (v.gone
       or v.failed_generation = v.generation
       or (v.report_counts and v.state = 'Released')
       or (v.report_counts and v.state = 'Applying' and v.report_phase in ('Ready','Removed'))
       or (v.state = 'Verifying'
           and (not v.report_counts or v.report_phase not in ('Ready','Removed')
                or v.report_ready_since is distinct from v.ready_since
                or (v.ready_since + w.soak <= %(now)s
                    and (v.connected or v.silent_since >= v.ready_since + w.soak
                         or coalesce(v.silent_since, v.ready_since) + %(offline_after)s <= %(now)s))))
       or (v.state <> 'Verifying'
           and greatest(v.released_at, case when v.report_counts then v.report_unheld_at end)
               + %(deadline)s + case when v.ready_since is null then interval '0'
                                                   else w.soak end <= %(now)s
           and (%(anyone)s or not (v.report_counts and v.report_reason = 'DependencyNotReady')))
       or (v.not_now_until > %(now)s and not %(anyone)s)
       or (v.state = 'Released' and not v.connected
           and (v.silent_since is null or v.silent_since + %(offline_after)s <= %(now)s)))
order by v.position
limit %(limit)s

-- name: pressure
-- What adaptive pacing goes by beside the targets that end: of those in flight how many were seen,
-- how many cannot get their artifact, and the ages of those that take longer than `overdue_after`; and
-- since when the tenant's oldest wake-up waits to be sent. A sample of them is enough.
select count(*) as in_flight,
       count(*) filter (where t.report_counts and t.report_reason = 'ArtifactFailed') as without_artifact,
       coalesce((array_agg(extract(epoch from %(now)s - t.released_at)::float8
                           order by t.released_at)
                 filter (where t.released_at + %(overdue_after)s::interval <= %(now)s))[1:50],
                '{}') as overdue,
       (select o.created_at from outbox o where o.tenant_id = %(tenant)s
        order by o.outbox_id limit 1) as oldest_wakeup
from (
    select v.released_at, v.report_counts, v.report_reason
    from target_views v
    where v.tenant_id = %(tenant)s and v.rollout_id = %(rollout)s
      and v.state in ('Released','Applying')
    limit 500
) t

-- name: candidates
-- The next targets to release in each open stage. `anyone` takes clusters that cannot act, too;
-- `ungated` those whose dependencies are not ready.
select c.cluster_id, c.cluster, c.stage, c.position, c.state, c.skip_reason, c.goal_digest,
       c.goal_absent, c.generation, c.released_at, c.ready_since, c.connected, c.silent_since,
       c.not_now_until, c.gone,
       exists (select from revisions q
               where q.tenant_id = %(tenant)s and q.extension = %(extension)s
                 and q.number = c.goal_revision and q.state = 'Quarantined'
                 and not c.goal_absent) as goal_quarantined
from unnest(%(stages)s::int[], %(wanted)s::int[]) as w(stage, wanted)
cross join lateral (
    select v.*
    from target_views v
    where v.tenant_id = %(tenant)s and v.rollout_id = %(rollout)s and v.stage = w.stage
      and v.state = 'ToApply' and not v.gone
      and (%(anyone)s or (v.connected and coalesce(v.not_now_until <= %(now)s, true)))
      and (%(ungated)s
           or not exists (select from target_lacks(v.tenant_id, v.cluster_id, %(extension)s,
                                                   v.goal_absent, %(needed)s::text[],
                                                   %(coming)s::uuid[])))
    order by v.position
    limit w.wanted
) c
order by c.position

-- name: lacking
-- Targets of open stages that could be released but for what their cluster lacks: the first few.
select v.cluster_id, v.cluster, v.stage, v.position, v.state, v.skip_reason, v.goal_digest,
       v.goal_absent, v.generation, v.released_at, v.ready_since, v.connected, v.silent_since,
       v.not_now_until, v.gone, l.extension as lacks, l.found as lacks_found, l.since as lacks_since
from unnest(%(stages)s::int[]) as w(stage)
cross join lateral (
    select x.*
    from target_views x
    where x.tenant_id = %(tenant)s and x.rollout_id = %(rollout)s and x.stage = w.stage
      and x.state = 'ToApply' and x.connected and coalesce(x.not_now_until <= %(now)s, true)
    order by x.position
    limit %(limit)s
) v
cross join lateral (
    select y.extension, y.found, y.since
    from target_lacks(v.tenant_id, v.cluster_id, %(extension)s, v.goal_absent,
                      %(needed)s::text[], %(coming)s::uuid[]) y
    order by y.extension
    limit 1
) l
order by v.position

-- name: unreachable
-- Targets of open stages that wait for release on a cluster that cannot act.
select v.cluster_id, v.cluster, v.stage, v.position, v.state, v.skip_reason, v.goal_digest,
       v.goal_absent, v.generation, v.released_at, v.ready_since, v.connected, v.silent_since,
       v.not_now_until, v.gone
from target_views v
where v.tenant_id = %(tenant)s and v.rollout_id = %(rollout)s and v.stage = any(%(stages)s::int[])
  and v.state = 'ToApply'
  and (v.gone or (not %(anyone)s and (not v.connected or v.not_now_until > %(now)s)))
order by v.gone desc, v.not_now_until > %(now)s desc nulls last, v.silent_since nulls first, v.position
limit %(limit)s

-- name: returned
-- Skipped targets of open stages whose cluster can act again.
select v.cluster_id, v.cluster, v.stage, v.position, v.state, v.skip_reason, v.goal_digest,
       v.goal_absent, v.generation, v.released_at, v.ready_since, v.connected, v.silent_since,
       v.not_now_until, v.gone
from target_views v
where v.tenant_id = %(tenant)s and v.rollout_id = %(rollout)s and v.stage = any(%(stages)s::int[])
  and v.state = 'Skipped' and v.skip_reason in ('Offline','NotNow')
  and v.connected and coalesce(v.not_now_until <= %(now)s, true)
order by v.position
limit %(limit)s

-- name: unreverted
-- Failed targets that still have the rollout's revision.
select v.cluster_id, v.cluster, v.stage, v.position, v.state, v.skip_reason, v.goal_digest,
       v.goal_absent, v.generation, v.released_at, v.ready_since, v.connected, v.silent_since,
       v.not_now_until, v.gone
from target_views v
where v.tenant_id = %(tenant)s and v.rollout_id = %(rollout)s and v.stage = any(%(stages)s::int[])
  and v.state in ('Failed','TimedOut') and not v.reverted and not v.goal_absent
order by v.position
limit %(limit)s

-- name: move_targets
-- Carry out moves of targets, keep the stages' counters in step, and remember what is now known good.
with moves as (
    select m.cluster_id, m.was, m.becomes, m.skip_reason, m.ready_since, m.reason, m.message
    from jsonb_to_recordset(%(moves)s) as m(cluster_id uuid, was text, becomes text,
         skip_reason text, ready_since timestamptz, reason text, message text)
), moved as (
    update rollout_targets t
    set state = m.becomes,
        skip_reason = m.skip_reason,
        ready_since = m.ready_since,
        reason = m.reason,
        message = left(m.message, 2048),
        generation = case when m.becomes = 'ToApply' then null else t.generation end,
        released_at = case when m.becomes = 'ToApply' then null else t.released_at end,
        finished_at = case when m.becomes in ('Succeeded','Failed','TimedOut','Skipped')
                           then %(now)s end
    from moves m
    where t.tenant_id = %(tenant)s and t.rollout_id = %(rollout)s and t.cluster_id = m.cluster_id
      and t.state = m.was
    returning t.cluster_id, t.stage, m.was, m.becomes, t.goal_revision, t.goal_digest, t.goal_absent
), good as (
    insert into known_good (tenant_id, cluster_id, extension, revision, spec_digest, since)
    select %(tenant)s, m.cluster_id, %(extension)s, m.goal_revision, m.goal_digest, %(now)s
    from moved m
    where m.becomes = 'Succeeded' and not m.goal_absent
    on conflict (tenant_id, cluster_id, extension, revision, spec_digest)
        do update set since = excluded.since
), shown as (
    update assignments a
    set good_revision = m.goal_revision
    from moved m
    where a.tenant_id = %(tenant)s and a.cluster_id = m.cluster_id and a.extension = %(extension)s
      and m.becomes = 'Succeeded' and not m.goal_absent
), totals as (
    select m.stage,
           sum((m.becomes = 'ToApply')::int - (m.was = 'ToApply')::int) as to_apply,
           sum((m.becomes in ('Released','Applying','Verifying'))::int
               - (m.was in ('Released','Applying','Verifying'))::int) as in_flight,
           sum((m.becomes = 'Succeeded')::int - (m.was = 'Succeeded')::int) as succeeded,
           sum((m.becomes in ('Failed','TimedOut'))::int
               - (m.was in ('Failed','TimedOut'))::int) as failed,
           sum((m.becomes = 'Skipped')::int - (m.was = 'Skipped')::int) as skipped
    from moved m
    group by m.stage
)
update rollout_stages s
set to_apply = s.to_apply + d.to_apply,
    in_flight = s.in_flight + d.in_flight,
    succeeded = s.succeeded + d.succeeded,
    failed = s.failed + d.failed,
    skipped = s.skipped + d.skipped
from totals d
where s.tenant_id = %(tenant)s and s.rollout_id = %(rollout)s and s.stage = d.stage

-- name: release
-- Release targets: a new generation of each assignment, a wake-up for each cluster, targets and
-- counters. A target that is not waiting any more, or whose goal is quarantined, is left alone.
-- Keys only, no join: a plan must not hang on how many rows the planner thinks there are. Nobody
-- else makes generations meanwhile: one rollout of the extension releases at a time.
with released as (
    update rollout_targets t
    set state = 'Released',
        generation = 1 + coalesce((
            select greatest(a.generation, a.observed_generation) from assignments a
            where a.tenant_id = t.tenant_id and a.cluster_id = t.cluster_id
              and a.extension = %(extension)s), 0),
        previous_revision = coalesce((
            select a.revision from assignments a
            where a.tenant_id = t.tenant_id and a.cluster_id = t.cluster_id
              and a.extension = %(extension)s and not a.absent), 0),
        released_at = %(now)s,
        ready_since = null,
        finished_at = null,
        skip_reason = null,
        reason = 'Progressing',
        message = 'released'
    where t.tenant_id = %(tenant)s and t.rollout_id = %(rollout)s
      and t.cluster_id = any(%(clusters)s::uuid[]) and t.state = 'ToApply'
      and (t.goal_absent
           or not exists (select from revisions q
                          where q.tenant_id = %(tenant)s and q.extension = %(extension)s
                            and q.number = t.goal_revision and q.state = 'Quarantined'))
    returning t.cluster_id, t.stage, t.generation, t.goal_revision, t.goal_digest, t.goal_absent
), assigned as (
    insert into assignments (tenant_id, cluster_id, extension, revision, spec_digest, absent,
                             generation, rollout_id, released_at, traceparent)
    select %(tenant)s, r.cluster_id, %(extension)s, r.goal_revision, r.goal_digest, r.goal_absent,
           r.generation, %(rollout)s, %(now)s, %(traceparent)s
    from released r
    on conflict (tenant_id, cluster_id, extension) do update
    set revision = excluded.revision,
        spec_digest = excluded.spec_digest,
        absent = excluded.absent,
        generation = excluded.generation,
        rollout_id = excluded.rollout_id,
        released_at = excluded.released_at,
        traceparent = excluded.traceparent
), woken as (
    insert into outbox (tenant_id, cluster_id, topic, traceparent)
    select %(tenant)s, r.cluster_id, 'desired', %(traceparent)s
    from released r
), totals as (
    select r.stage, count(*) as released
    from released r
    group by r.stage
), counted as (
    update rollout_stages s
    set to_apply = s.to_apply - d.released,
        in_flight = s.in_flight + d.released
    from totals d
    where s.tenant_id = %(tenant)s and s.rollout_id = %(rollout)s and s.stage = d.stage
)
select count(*) as released from released

-- name: revert
-- Take failed targets back to their own last known good revision, or to absent where there is none.
with reverted as (
    update rollout_targets t
    set reverted = true,
        message = left(t.message || '; went back to its last known good revision', 2048)
    where t.tenant_id = %(tenant)s and t.rollout_id = %(rollout)s
      and t.cluster_id = any(%(clusters)s::uuid[])
      and t.state in ('Failed','TimedOut') and not t.reverted
    returning t.cluster_id, t.goal_revision, t.goal_digest
), goals as (
    select r.cluster_id, g.revision, g.spec_digest
    from reverted r
    left join lateral (
        select k.revision, k.spec_digest
        from known_good k
        join revisions v on v.tenant_id = k.tenant_id and v.extension = k.extension
                        and v.number = k.revision and v.state <> 'Quarantined'
        where k.tenant_id = %(tenant)s and k.cluster_id = r.cluster_id
          and k.extension = %(extension)s
          and (k.revision, k.spec_digest) <> (r.goal_revision, r.goal_digest)
        order by k.revision desc, k.since desc
        limit 1
    ) g on true
), assigned as (
    update assignments a
    set revision = coalesce(g.revision, a.revision),
        spec_digest = coalesce(g.spec_digest, a.spec_digest),
        absent = g.revision is null,
        generation = greatest(a.generation, a.observed_generation) + 1,
        released_at = %(now)s,
        traceparent = %(traceparent)s
    from goals g
    where a.tenant_id = %(tenant)s and a.cluster_id = g.cluster_id and a.extension = %(extension)s
      and a.rollout_id = %(rollout)s
    returning a.cluster_id
)
insert into outbox (tenant_id, cluster_id, topic, traceparent)
select %(tenant)s, a.cluster_id, 'desired', %(traceparent)s
from assigned a

-- name: regoal
-- Send a rollback's targets further back: the revision they were to go to is quarantined.
update rollout_targets t
set goal_revision = coalesce(g.revision, t.goal_revision),
    goal_digest = coalesce(g.spec_digest, t.goal_digest),
    goal_absent = g.revision is null
from unnest(%(clusters)s::uuid[]) as w(cluster_id)
left join lateral (
    select k.revision, k.spec_digest
    from known_good k
    join revisions v on v.tenant_id = k.tenant_id and v.extension = k.extension
                    and v.number = k.revision and v.state <> 'Quarantined'
    where k.tenant_id = %(tenant)s and k.cluster_id = w.cluster_id and k.extension = %(extension)s
    order by k.revision desc, k.since desc
    limit 1
) g on true
where t.tenant_id = %(tenant)s and t.rollout_id = %(rollout)s and t.cluster_id = w.cluster_id
  and t.state = 'ToApply'

-- name: pass_stages
-- The gates of these stages are passed.
update rollout_stages
set passed_at = %(now)s
where tenant_id = %(tenant)s and rollout_id = %(rollout)s and stage = any(%(stages)s::int[])
  and passed_at is null

-- name: open_stages
-- The targets of these stages may be released.
update rollout_stages
set opened_at = %(now)s
where tenant_id = %(tenant)s and rollout_id = %(rollout)s and stage = any(%(stages)s::int[])
  and opened_at is null

-- name: set_state
-- Move the rollout to another state.
update rollouts
set state = %(state)s,
    version = version + 1,
    started_at = case when %(state)s in ('Running','AwaitingApproval')
                      then coalesce(started_at, %(now)s) else started_at end,
    finished_at = case when %(over)s then %(now)s end
where tenant_id = %(tenant)s and rollout_id = %(rollout)s and state <> %(state)s

-- name: note_plan
-- What this look found: what is waited for, and when to look again.
update rollouts
set waiting_for = coalesce(%(waiting_for)s, case when state = 'RollingBack' then waiting_for end),
    pacing = coalesce(%(pacing)s, pacing),
    planned_at = %(now)s,
    plan_after = %(plan_after)s
where tenant_id = %(tenant)s and rollout_id = %(rollout)s

-- name: look_soon
-- Have the next tick look at a rollout.
update rollouts
set plan_after = %(now)s
where tenant_id = %(tenant)s and rollout_id = %(rollout)s
  and state in ('Pending','Running','Paused','AwaitingApproval')

-- name: mark_good
-- The rollout's revision ran on at least one of its clusters through the soak.
update revisions v
set state = 'Good'
where v.tenant_id = %(tenant)s and v.extension = %(extension)s and v.number = %(revision)s
  and v.state in ('Candidate','Superseded')
  and exists (select from rollout_stages s
              where s.tenant_id = %(tenant)s and s.rollout_id = %(rollout)s and s.succeeded > 0)

-- name: reconsider_skipped
-- Clusters that the rollout skipped are looked at again when they return.
insert into reconsiderations (tenant_id, extension, cluster_id)
select t.tenant_id, %(extension)s, t.cluster_id
from rollout_targets t
where t.tenant_id = %(tenant)s and t.rollout_id = %(rollout)s and t.state = 'Skipped'
  and t.skip_reason in ('Offline','NotNow')
on conflict (tenant_id, extension, cluster_id) do nothing

-- name: end_rolled_back
-- The rollout that this rollback took back is over, too.
update rollouts
set state = %(state)s, version = version + 1, finished_at = %(now)s, waiting_for = null
where tenant_id = %(tenant)s and rollout_id = %(rolled_back)s and state = 'RollingBack'

-- name: end_deletion
-- The removal of the extension is over; it is gone if that succeeded. History is kept.
update extensions
set deleting = false,
    deleted_at = case when %(gone)s then %(now)s end,
    version = version + 1,
    updated_at = %(now)s
where tenant_id = %(tenant)s and name = %(extension)s

-- name: look_at_extension
-- Have the other rollouts of the extension looked at: what they waited for may be over.
update rollouts
set plan_after = %(now)s
where tenant_id = %(tenant)s and extension = %(extension)s and rollout_id <> %(rollout)s
  and state in ('Pending','Running','AwaitingApproval')
