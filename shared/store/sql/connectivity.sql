-- name: go_offline
-- Connected clusters of which nothing was heard since a moment.
with silent as (
    select c.tenant_id, c.cluster_id, s.last_heartbeat
    from clusters c
    join sessions s on s.tenant_id = c.tenant_id and s.cluster_id = c.cluster_id
    where c.state = 'Connected'
      and greatest(s.last_heartbeat, s.connected_at, c.state_since) < %(silent_since)s
    order by c.tenant_id, c.cluster_id
    limit %(limit)s
    for update of c skip locked
)
update clusters c set state = 'Offline', state_since = %(now)s
from silent
where c.tenant_id = silent.tenant_id and c.cluster_id = silent.cluster_id
returning c.tenant_id, c.cluster_id, c.name, silent.last_heartbeat;

-- name: expire
-- Clusters whose every certificate has ended.
with ended as (
    select c.tenant_id, c.cluster_id
    from clusters c
    where c.state in ('Pending', 'Connected', 'Offline')
      and not exists (
          select from certificates p
          where p.tenant_id = c.tenant_id and p.cluster_id = c.cluster_id
            and p.state in ('New', 'Current') and p.not_after > %(now)s
      )
    order by c.tenant_id, c.cluster_id
    limit %(limit)s
    for update of c skip locked
)
update clusters c set state = 'Expired', state_since = %(now)s
from ended
where c.tenant_id = ended.tenant_id and c.cluster_id = ended.cluster_id
returning c.tenant_id, c.cluster_id, c.name;

-- name: come_back
-- Clusters that are heard of again, with a certificate that is good.
with heard as (
    select c.tenant_id, c.cluster_id
    from clusters c
    join sessions s on s.tenant_id = c.tenant_id and s.cluster_id = c.cluster_id
    where c.state in ('Pending', 'Offline', 'Expired') and s.last_heartbeat >= %(silent_since)s
      and s.last_heartbeat >= c.state_since
      and exists (
          select from certificates p
          where p.tenant_id = c.tenant_id and p.cluster_id = c.cluster_id
            and p.state in ('New', 'Current') and p.not_after > %(now)s
      )
    order by c.tenant_id, c.cluster_id
    limit %(limit)s
    for update of c skip locked
)
update clusters c set state = 'Connected', state_since = %(now)s
from heard
where c.tenant_id = heard.tenant_id and c.cluster_id = heard.cluster_id
returning c.tenant_id, c.cluster_id, c.name;

-- name: note_clocks
-- Since when a cluster's clock is wrong, or right again. Nothing noted means right from the start.
with seen as (
    select c.tenant_id, c.cluster_id, s.clock_skew_ms,
           case when abs(s.clock_skew_ms) > %(allowed_ms)s then 'False' else 'True' end as status,
           jsonb_path_query_first(c.conditions, '$[*] ? (@.type == "ClockSynced").status')
               #>> '{}' as was
    from clusters c
    join sessions s on s.tenant_id = c.tenant_id and s.cluster_id = c.cluster_id
    where c.deregistered_at is null and s.clock_skew_ms is not null
), changed as (
    select c.tenant_id, c.cluster_id, seen.status, seen.was, seen.clock_skew_ms
    from seen
    join clusters c on c.tenant_id = seen.tenant_id and c.cluster_id = seen.cluster_id
    where seen.status <> coalesce(seen.was, 'True')
    order by c.tenant_id, c.cluster_id
    limit %(limit)s
    for update of c skip locked
)
update clusters c
set conditions = jsonb_path_query_array(c.conditions, '$[*] ? (@.type != "ClockSynced")')
    || jsonb_build_array(jsonb_build_object('type', 'ClockSynced', 'status', changed.status,
                                            'since', %(now)s::timestamptz))
from changed
where c.tenant_id = changed.tenant_id and c.cluster_id = changed.cluster_id
returning c.tenant_id, c.cluster_id, c.name, changed.status, changed.was, changed.clock_skew_ms;

-- name: note_readiness
-- Since when a connected cluster has failed extensions, or none again. Nothing noted means none.
with seen as (
    select c.tenant_id, c.cluster_id,
           case when s.extensions_failed > 0 then 'False' else 'True' end as status,
           jsonb_path_query_first(c.conditions, '$[*] ? (@.type == "Ready").status') #>> '{}' as was
    from clusters c
    join sessions s on s.tenant_id = c.tenant_id and s.cluster_id = c.cluster_id
    where c.state = 'Connected'
), changed as (
    select c.tenant_id, c.cluster_id, seen.status
    from seen
    join clusters c on c.tenant_id = seen.tenant_id and c.cluster_id = seen.cluster_id
    where seen.status <> coalesce(seen.was, 'True')
    order by c.tenant_id, c.cluster_id
    limit %(limit)s
    for update of c skip locked
)
update clusters c
set conditions = jsonb_path_query_array(c.conditions, '$[*] ? (@.type != "Ready")')
    || jsonb_build_array(jsonb_build_object('type', 'Ready', 'status', changed.status,
                                            'since', %(now)s::timestamptz))
from changed
where c.tenant_id = changed.tenant_id and c.cluster_id = changed.cluster_id;
