-- Rollouts: how they start, what operators ask of them, and how they are read.

-- name: supersede
-- The forward rollout of the extension that runs now gives way to a newer one.
update rollouts r
set state = 'Superseded', superseded_by = %(rollout)s, finished_at = %(now)s, waiting_for = null,
    version = r.version + 1
where r.tenant_id = %(tenant)s and r.extension = %(extension)s and r.kind <> 'rollback'
  and r.state in ('Pending','Running','Paused','AwaitingApproval')
returning r.rollout_id, r.revision

-- name: say_superseded
-- Tell of each target in flight what becomes of it.
update rollout_targets
set reason = 'RolloutSuperseded',
    message = 'superseded in flight: the cluster keeps revision ' || goal_revision
              || ' until the newer rollout reaches it'
where tenant_id = %(tenant)s and rollout_id = any(%(rollouts)s::uuid[])
  and state in ('Released','Applying','Verifying')

-- name: insert_rollout
-- A new rollout, due at once.
insert into rollouts (tenant_id, rollout_id, extension, kind, revision, strategy, reason, created_by,
                      created_at, rollback_of, retry_of, traceparent, plan_after)
values (%(tenant)s, %(rollout)s, %(extension)s, %(kind)s, %(revision)s, %(strategy)s, %(reason)s,
        %(created_by)s, %(now)s, %(rollback_of)s, %(retry_of)s, %(traceparent)s, %(now)s)

-- name: insert_stages
-- The stages of a new rollout with their numbers of targets.
insert into rollout_stages (tenant_id, rollout_id, stage, name, total, to_apply)
select %(tenant)s, %(rollout)s, s.stage, s.name, s.total, s.total
from unnest(%(stages)s::int[], %(names)s::text[], %(totals)s::int[]) as s(stage, name, total)

-- name: insert_targets
-- The targets of a new rollout.
insert into rollout_targets (tenant_id, rollout_id, cluster_id, stage, position, goal_revision,
                             goal_digest, goal_absent, previous_revision)
select %(tenant)s, %(rollout)s, g.cluster_id, g.stage, g.position, g.revision, g.digest, g.absent,
       g.previous
from unnest(%(clusters)s::uuid[], %(stages)s::int[], %(positions)s::int[], %(revisions)s::int[],
            %(digests)s::text[], %(absents)s::bool[], %(previous)s::int[])
     as g(cluster_id, stage, position, revision, digest, absent, previous)

-- name: insert_resolved
-- Keep resolved specs that are not known yet.
insert into resolved_specs (tenant_id, digest, spec)
select %(tenant)s, s.digest, s.spec
from unnest(%(digests)s::text[], %(specs)s::jsonb[]) as s(digest, spec)
on conflict (tenant_id, digest) do nothing

-- name: one_rollout
-- One rollout as operators see it.
select rollout_id, extension, kind, state, version, revision, strategy, reason, created_by, created_at,
       finished_at, superseded_by, rollback_of, rolled_back_by, retry_of, waiting_for, pacing, freeze_override_until,
       traceparent
from rollouts
where tenant_id = %(tenant)s and rollout_id = %(rollout)s

-- name: lock_one
-- Take a rollout's row for an operator's action.
select rollout_id, extension, kind, state, version, revision, rollback_of
from rollouts
where tenant_id = %(tenant)s and rollout_id = %(rollout)s
for no key update

-- name: list_rollouts
-- A page of rollouts, newest first.
select rollout_id, extension, kind, state, version, revision, strategy, reason, created_by, created_at,
       finished_at, superseded_by, rollback_of, rolled_back_by, retry_of, waiting_for, pacing, freeze_override_until,
       traceparent
from rollouts
where tenant_id = %(tenant)s
  and (%(extension)s::text is null or extension = %(extension)s)
  and (%(states)s::text[] is null or state = any(%(states)s::text[]))
  and (%(before)s::uuid is null or rollout_id < %(before)s)
order by rollout_id desc
limit %(limit)s

-- name: stages_of
-- The stages of some rollouts.
select rollout_id, stage, name, total, to_apply, in_flight, succeeded, failed, skipped, opened_at,
       passed_at, approved_by
from rollout_stages
where tenant_id = %(tenant)s and rollout_id = any(%(rollouts)s::uuid[])
order by rollout_id, stage

-- name: targets_of
-- A page of a rollout's targets in release order, with what they may be waiting for. `gated`: ask
-- what the clusters lack where they are to be released.
select v.cluster_id, v.cluster, v.stage, v.position, v.state, v.skip_reason, v.goal_digest,
       v.goal_absent, v.generation, v.released_at, v.ready_since, v.connected, v.silent_since,
       v.not_now_until, v.gone, v.observed_rollout, v.observed_digest, v.observed_generation,
       v.report_phase, v.report_reason, v.report_message, v.report_ready_since, v.report_unheld_at,
       v.failed_generation, v.failed_reason, v.failed_message, v.reverted,
       case when v.goal_absent then 0 else v.goal_revision end as revision,
       t.previous_revision, t.reason, t.message, t.finished_at,
       l.extension as lacks, l.found as lacks_found, l.since as lacks_since
from target_views v
join rollout_targets t on t.tenant_id = v.tenant_id and t.rollout_id = v.rollout_id
                      and t.cluster_id = v.cluster_id
left join lateral (
    select y.extension, y.found, y.since
    from target_lacks(v.tenant_id, v.cluster_id, %(extension)s, v.goal_absent,
                      %(needed)s::text[], %(coming)s::uuid[]) y
    order by y.extension
    limit 1
) l on %(gated)s and v.state = 'ToApply'
where v.tenant_id = %(tenant)s and v.rollout_id = %(rollout)s and v.position > %(after)s
  and (%(state)s::text is null or v.state = %(state)s)
order by v.position
limit %(limit)s

-- name: operate
-- Move a rollout as an operator asked, and have it looked at.
update rollouts
set state = %(state)s, version = version + 1, waiting_for = %(waiting_for)s, plan_after = %(now)s,
    finished_at = case when %(over)s then %(now)s end
where tenant_id = %(tenant)s and rollout_id = %(rollout)s

-- name: forgive
-- Failures so far count no more: an operator saw them and resumed.
update rollout_stages
set forgiven = failed
where tenant_id = %(tenant)s and rollout_id = %(rollout)s

-- name: approve
-- Approve the first stage that waits for it; its name, or nothing where none does.
update rollout_stages
set approved_at = %(now)s, approved_by = %(actor)s
where tenant_id = %(tenant)s and rollout_id = %(rollout)s
  and stage = (select min(s.stage) from rollout_stages s
               where s.tenant_id = %(tenant)s and s.rollout_id = %(rollout)s
                 and s.opened_at is null and s.total > 0)
returning name

-- name: active_of
-- The rollouts of an extension that are not over, the newest first.
select rollout_id, kind, state, revision
from rollouts
where tenant_id = %(tenant)s and extension = %(extension)s
  and state in ('Pending','Running','Paused','AwaitingApproval','RollingBack')
order by rollout_id desc
