-- Rollback and quarantine.

-- name: quarantine
-- Quarantine a revision; nothing where it is already.
update revisions
set state = 'Quarantined', quarantine_reason = %(reason)s
where tenant_id = %(tenant)s and extension = %(extension)s and number = %(number)s
  and state <> 'Quarantined'

-- name: lift_quarantine
-- Make a quarantined revision a candidate again; it is released nowhere by that alone.
update revisions
set state = case when exists (select from known_good k
                              where k.tenant_id = %(tenant)s and k.extension = %(extension)s
                                and k.revision = %(number)s) then 'Good' else 'Candidate' end,
    quarantine_reason = null, lifted_at = %(now)s
where tenant_id = %(tenant)s and extension = %(extension)s and number = %(number)s
  and state = 'Quarantined'

-- name: goals_from_revision
-- Where each cluster that has the revision goes back to: its newest known good other than that, or
-- absent. With the stage of the rollout that brought it, where that is known.
select a.cluster_id, c.name, a.revision as previous, a.spec_digest as held, t.stage, t.position,
       g.revision, g.spec_digest
from assignments a
join clusters c on c.tenant_id = a.tenant_id and c.cluster_id = a.cluster_id
left join rollout_targets t on t.tenant_id = a.tenant_id and t.rollout_id = %(rolled_back)s
                           and t.cluster_id = a.cluster_id
left join lateral (
    select k.revision, k.spec_digest
    from known_good k
    join revisions v on v.tenant_id = k.tenant_id and v.extension = k.extension
                    and v.number = k.revision and v.state <> 'Quarantined'
    where k.tenant_id = a.tenant_id and k.cluster_id = a.cluster_id and k.extension = a.extension
      and k.revision <> a.revision
    order by k.revision desc, k.since desc
    limit 1
) g on true
where a.tenant_id = %(tenant)s and a.extension = %(extension)s and a.revision = %(revision)s
  and not a.absent and c.state not in ('Deregistered','Revoked')

-- name: goals_from_rollout
-- Where each cluster that a rollout released goes back to, by the content it had there.
select a.cluster_id, c.name, a.revision as previous, a.spec_digest as held, t.stage, t.position,
       g.revision, g.spec_digest
from rollout_targets t
join assignments a on a.tenant_id = t.tenant_id and a.cluster_id = t.cluster_id
                  and a.extension = %(extension)s and a.rollout_id = t.rollout_id
join clusters c on c.tenant_id = a.tenant_id and c.cluster_id = a.cluster_id
left join lateral (
    select k.revision, k.spec_digest
    from known_good k
    join revisions v on v.tenant_id = k.tenant_id and v.extension = k.extension
                    and v.number = k.revision and v.state <> 'Quarantined'
    where k.tenant_id = a.tenant_id and k.cluster_id = a.cluster_id and k.extension = a.extension
      and (k.revision, k.spec_digest) <> (t.goal_revision, t.goal_digest)
    order by k.revision desc, k.since desc
    limit 1
) g on true
where t.tenant_id = %(tenant)s and t.rollout_id = %(rolled_back)s and not t.reverted
  and not t.goal_absent and not a.absent and c.state not in ('Deregistered','Revoked')

-- name: begin_rolling_back
-- The forward rollout gives way to its rollback.
update rollouts
set state = 'RollingBack', rolled_back_by = %(rollback)s, waiting_for = %(waiting_for)s,
    version = version + 1
where tenant_id = %(tenant)s and rollout_id = %(rolled_back)s
  and state in ('Pending','Running','Paused','AwaitingApproval')

-- name: forward_rollout
-- The forward rollout of the extension that runs now, taken for the rollback.
select rollout_id, kind, revision, strategy
from rollouts
where tenant_id = %(tenant)s and extension = %(extension)s and kind <> 'rollback'
  and state in ('Pending','Running','Paused','AwaitingApproval')
for no key update

-- name: bringer
-- The last rollout that brought the revision out, for its stages and strategy.
select rollout_id, kind, revision, strategy
from rollouts
where tenant_id = %(tenant)s and extension = %(extension)s and kind <> 'rollback'
  and revision = %(revision)s
order by rollout_id desc
limit 1

-- name: running
-- The rollback of the extension that is under way.
select rollout_id, rollback_of, strategy
from rollouts
where tenant_id = %(tenant)s and extension = %(extension)s and kind = 'rollback'
  and state in ('Pending','Running','Paused','AwaitingApproval')

-- name: ways
-- Where a rollback's clusters go, by revision; 0 for absent.
select case when goal_absent then 0 else goal_revision end as to_revision, count(*) as clusters
from rollout_targets
where tenant_id = %(tenant)s and rollout_id = %(rollout)s
group by 1
order by 1 desc

-- name: last
-- The newest rollback of the extension from this revision.
select r.rollout_id
from rollouts r
join rollouts f on f.tenant_id = r.tenant_id and f.rollout_id = r.rollback_of
where r.tenant_id = %(tenant)s and r.extension = %(extension)s and r.kind = 'rollback'
  and f.revision = %(revision)s
order by r.rollout_id desc
limit 1

-- name: above
-- Clusters that have a revision other than the one to go to, with their labels.
select a.cluster_id, c.name, c.labels, a.revision as previous, a.spec_digest as held
from assignments a
join clusters c on c.tenant_id = a.tenant_id and c.cluster_id = a.cluster_id
where a.tenant_id = %(tenant)s and a.extension = %(extension)s and not a.absent
  and a.revision <> %(revision)s and c.state not in ('Deregistered','Revoked')
order by c.name
