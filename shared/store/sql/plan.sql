-- What a plan and a simulation are made from.

-- name: fleet
-- Every cluster that may run extensions: what is desired of this one there, whether the cluster can
-- act, its last known good revision, and all that it lacks of what the extension would depend on.
select c.cluster_id, c.name, c.labels, c.state = 'Connected' as reachable,
       case when a.absent then 0 else coalesce(a.revision, 0) end as revision,
       case when a.absent then null else a.spec_digest end as digest,
       case when c.state <> 'Connected' then s.last_heartbeat end as silent_since,
       c.not_now_until, g.revision as good_revision, g.spec_digest as good_digest,
       l.lack_names, l.lack_kinds, l.lack_since,
       exists (select from target_lacks(c.tenant_id, c.cluster_id, %(extension)s, false,
                                        %(needed)s::text[], '{}')) as is_held
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
cross join lateral (
    select array_agg(y.extension order by y.extension) as lack_names,
           array_agg(y.found order by y.extension) as lack_kinds,
           array_agg(y.since order by y.extension) as lack_since
    from target_lacks(c.tenant_id, c.cluster_id, %(extension)s, false, %(needed)s::text[],
                      %(coming)s::uuid[]) y
) l
where c.tenant_id = %(tenant)s and c.state not in ('Deregistered','Revoked')

-- name: dependents_there
-- What is still on clusters that the extension would leave, and depends on it.
select c.cluster_id, y.extension, y.found, y.since
from unnest(%(clusters)s::uuid[]) as c(cluster_id)
cross join lateral target_lacks(%(tenant)s, c.cluster_id, %(extension)s, true, '{}', '{}') y
order by c.cluster_id, y.extension

-- name: under_way
-- Rollouts of some extensions that are not over, as they stand.
select r.rollout_id, r.extension, r.kind, r.state, r.revision, r.strategy, r.created_at,
       r.waiting_for, r.pacing, r.freeze_override_until,
       coalesce(v.state = 'Quarantined', false) as quarantined,
       case when r.strategy #> '{pace,perSource}' is not null then v.spec -> 'source' end as source,
       coalesce(v.depends_on, '{}') as depends_on,
       exists (select from revisions d
               where d.tenant_id = r.tenant_id and d.depends_on @> array[r.extension]) as is_needed
from rollouts r
left join revisions v on v.tenant_id = r.tenant_id and v.extension = r.extension
                     and v.number = r.revision
where r.tenant_id = %(tenant)s and r.extension = any(%(extensions)s::text[])
  and r.state in ('Pending','Running','Paused','AwaitingApproval')
order by r.rollout_id

-- name: left_of
-- What is left of a rollout: targets that may still change, with all that their clusters lack.
select v.cluster_id, v.cluster, v.stage, v.position, v.state, v.skip_reason, v.goal_revision,
       v.goal_digest, v.goal_absent, v.generation, v.released_at, v.ready_since, v.connected,
       v.silent_since, v.not_now_until, v.gone, l.lack_names, l.lack_kinds, l.lack_since
from target_views v
cross join lateral (
    select array_agg(y.extension order by y.extension) as lack_names,
           array_agg(y.found order by y.extension) as lack_kinds,
           array_agg(y.since order by y.extension) as lack_since
    from target_lacks(v.tenant_id, v.cluster_id, %(extension)s, v.goal_absent, %(needed)s::text[],
                      %(coming)s::uuid[]) y
) l
where v.tenant_id = %(tenant)s and v.rollout_id = %(rollout)s
  and v.state not in ('Succeeded','Failed','TimedOut')
order by v.position

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
