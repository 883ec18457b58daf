-- name: clusters_by_state
-- How many clusters are in which state.
select state, count(*) as count from clusters
where tenant_id = %(tenant)s and deregistered_at is null
group by state;

-- name: rollouts_by_state
-- How many rollouts that are not over are in which state.
select state, count(*) as count from rollouts
where tenant_id = %(tenant)s
  and state in ('Pending', 'Running', 'Paused', 'AwaitingApproval', 'RollingBack')
group by state;

-- name: troubled_clusters
-- Clusters with something about their connection, clock, certificate or identity, worst first.
select c.name, c.state, c.state_since, s.last_heartbeat, s.clock_skew_ms, s.takeovers,
       s.last_takeover_at, p.not_before, p.not_after,
       (jsonb_path_query_first(c.conditions, '$[*] ? (@.type == "ClockSynced").since')
           #>> '{}')::timestamptz as clock_since
from clusters c
join sessions s on s.tenant_id = c.tenant_id and s.cluster_id = c.cluster_id
left join lateral (
    select not_before, not_after from certificates p
    where p.tenant_id = c.tenant_id and p.cluster_id = c.cluster_id and p.state in ('New', 'Current')
    order by p.not_after desc limit 1
) p on true
where c.tenant_id = %(tenant)s and c.deregistered_at is null
  and (c.state in ('Offline', 'Expired')
       or abs(s.clock_skew_ms) > %(allowed_ms)s
       or s.takeovers >= %(takeovers)s and s.last_takeover_at > %(takeovers_since)s
       or c.state = 'Connected' and p.not_after is not null
          and %(now)s > p.not_before + (p.not_after - p.not_before) * %(overdue)s)
order by c.state_since
limit %(limit)s;

-- name: troubled_extensions
-- Extensions that report trouble, by reason.
select a.extension, a.reason, count(*) as clusters, min(c.name) as example,
       min(coalesce(a.reported_at, a.released_at)) as since
from assignments a
join clusters c on c.tenant_id = a.tenant_id and c.cluster_id = a.cluster_id
                and c.deregistered_at is null
where a.tenant_id = %(tenant)s and a.reason = any(%(reasons)s::text[])
  and a.observed_generation is not distinct from a.generation
group by a.extension, a.reason
order by count(*) desc
limit %(limit)s;

-- name: troubled_rollouts
-- Rollouts that wait for a person, or failed of late and have no successor.
select r.rollout_id, r.extension, r.kind, r.state, coalesce(r.finished_at, r.planned_at, r.created_at)
           as since,
       r.waiting_for
from rollouts r
where r.tenant_id = %(tenant)s
  and (r.state in ('AwaitingApproval', 'RollingBack')
       or r.state = 'Paused' and r.waiting_for ->> 'reason' = 'FailureBudgetExceeded'
       or r.state = 'Failed' and r.finished_at > %(recent)s and not exists (
           select from rollouts later
           where later.tenant_id = r.tenant_id and later.extension = r.extension
             and later.created_at > r.created_at))
order by r.created_at desc
limit %(limit)s;

-- name: metrics
-- What the whole service looks like in numbers; no tenant, no cluster.
select 'clusters' as metric, state as label, count(*)::double precision as value
from clusters where deregistered_at is null group by state
union all
select 'rollouts', state, count(*) from rollouts
where state in ('Pending', 'Running', 'Paused', 'AwaitingApproval', 'RollingBack') group by state
union all
select 'slowed', pacing ->> 'reason', count(*) from rollouts
where state in ('Pending', 'Running', 'Paused', 'AwaitingApproval') and pacing ->> 'reason' like 'SlowedBy%%'
group by 2
union all
select 'drifts', kind, count(*) from drifts where resolved_at is null group by kind
union all
select 'targets', state, count(*) from rollout_targets
where state in ('Released', 'Applying', 'Verifying') group by state
union all
select 'ca_not_after', lower(state), extract(epoch from not_after) from ca_generations
where state in ('Prepared', 'Issuing')
union all
select 'outbox_rows', '', count(*) from outbox
union all
select 'outbox_age', '', coalesce(extract(epoch from %(now)s - min(created_at)), 0) from outbox
union all
select 'heartbeat_lag', '', coalesce(extract(epoch from %(now)s - max(last_heartbeat)), 0)
from sessions;
