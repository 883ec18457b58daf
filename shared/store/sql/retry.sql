-- Retrying what a rollout left behind.

-- name: rollout
-- The rollout to retry, as it ended.
select rollout_id, extension, kind, state, version, revision, strategy, rollback_of
from rollouts
where tenant_id = %(tenant)s and rollout_id = %(rollout)s

-- name: newer
-- The newest rollout of the extension that decided anew where its clusters go. A placement rollout
-- does not: it brings single clusters to what was decided before.
select rollout_id, kind
from rollouts
where tenant_id = %(tenant)s and extension = %(extension)s and rollout_id > %(rollout)s
  and kind <> 'placement'
order by rollout_id desc
limit 1

-- name: left_behind
-- The failed, timed-out and skipped targets in release order, but for clusters that are gone and
-- those that got there by another way meanwhile.
select t.cluster_id, c.name as cluster, t.stage, t.position, t.goal_revision, t.goal_digest,
       t.goal_absent,
       case when a.absent then 0 else coalesce(a.revision, 0) end as revision,
       case when a.absent then null else a.spec_digest end as digest
from rollout_targets t
join clusters c on c.tenant_id = t.tenant_id and c.cluster_id = t.cluster_id
left join assignments a on a.tenant_id = t.tenant_id and a.cluster_id = t.cluster_id
                       and a.extension = %(extension)s
where t.tenant_id = %(tenant)s and t.rollout_id = %(rollout)s
  and t.state in ('Failed','TimedOut','Skipped')
  and c.state not in ('Deregistered','Revoked')
  and not coalesce(a.observed_generation = a.generation and a.absent = t.goal_absent
                   and (a.phase = 'Removed'
                        or (a.phase = 'Ready' and a.spec_digest = t.goal_digest)), false)
order by t.position
