-- What a plan and a simulation are made from.

-- name: fleet
-- Every cluster that may run extensions: what is desired of this one there, whether the cluster can
-- act, its last known good revision, and what it lacks of what the extension would depend on.
select c.cluster_id, c.name, c.labels, c.state = 'Connected' as reachable,
       case when a.absent then 0 else coalesce(a.revision, 0) end as revision,
       case when a.absent then null else a.spec_digest end as digest,
       case when c.state <> 'Connected' then s.last_heartbeat end as silent_since,
       c.not_now_until, g.revision as good_revision, g.spec_digest as good_digest,
       l.extension as lacks, l.found as lacks_found, l.since as lacks_since
from clusters c
left join sessions s on s.tenant_id = c.tenant_id and s.cluster_id = c.cluster_id
left join assignments a on a.tenant_id = c.tenant_id and a.cluster_id = c.cluster_id
                       and a.extension = %(extension)s
left join lateral (
    select k.revision, k.spec_digest
    from known_good k
    join revisions v on v.tenant_id = k.tenant_id and v.extension = k.extension
                    and v.number = k.revision and v.state <> 'Quarantined'
    where k.tenant_id = c.tenant_id and k.cluster_id = c.cluster_id and k.extension = a.extension
    order by k.revision desc, k.since desc
    limit 1
) g on true
left join lateral (
    select y.extension, y.found, y.since
    from target_lacks(c.tenant_id, c.cluster_id, %(extension)s, false, %(needed)s::text[],
                      %(coming)s::uuid[]) y
    order by y.extension
    limit 1
) l on true
where c.tenant_id = %(tenant)s and c.state not in ('Deregistered','Revoked')

-- name: coming
-- Rollouts of the dependencies that would have to reach a cluster first.
select rollout_id
from rollouts
where tenant_id = %(tenant)s and extension = any(%(needed)s::text[])
  and state in ('Pending','Running','Paused','AwaitingApproval')

-- name: apply_times
-- How long targets took lately from release to ready, in seconds: of the extension, or with null of
-- all of the tenant's; over the last targets that succeeded.
select count(*) as samples,
       percentile_cont(0.5) within group (order by t.seconds) as p50,
       percentile_cont(0.95) within group (order by t.seconds) as p95
from (
    select extract(epoch from x.ready_since - x.released_at)::float8 as seconds
    from rollouts r
    join rollout_targets x on x.tenant_id = r.tenant_id and x.rollout_id = r.rollout_id
    where r.tenant_id = %(tenant)s
      and (%(extension)s::text is null or r.extension = %(extension)s)
      and x.state = 'Succeeded' and x.ready_since > x.released_at and not x.goal_absent
    order by r.rollout_id desc
    limit 1000
) t
