-- name: read_credentials
-- The stored state of the certificates that agents present, of their clusters and tenants, and
-- what the agents should be told first: whether a release was not reported on, which inventory is
-- here.
select i.tenant_id, i.cluster_id, i.serial, c.state as certificate_state, c.not_after,
       k.deregistered_at is not null as deregistered, t.state as tenant_state,
       coalesce(v.checksum, '') as inventory_checksum,
       exists (select 1 from assignments a
               where a.tenant_id = i.tenant_id and a.cluster_id = i.cluster_id
                 and a.generation > coalesce(a.observed_generation, 0)) as behind,
       coalesce(r.epoch, 0) as reported_epoch, coalesce(r.sequence, 0) as reported_sequence
from unnest(%(tenants)s::text[], %(clusters)s::uuid[], %(serials)s::text[])
     as i (tenant_id, cluster_id, serial)
join certificates c using (tenant_id, cluster_id, serial)
join clusters k using (tenant_id, cluster_id)
join tenants t using (tenant_id)
left join inventories v using (tenant_id, cluster_id)
left join lateral (
    select a.epoch, a.sequence
    from assignments a
    where a.tenant_id = i.tenant_id and a.cluster_id = i.cluster_id
    order by a.epoch desc, a.sequence desc
    limit 1
) r on true

-- name: adopt_new_certificates
-- A new certificate that was seen becomes the current one; the one before it is good no more.
with seen as (
    update certificates c set state = 'Current'
    from unnest(%(tenants)s::text[], %(clusters)s::uuid[], %(serials)s::text[])
         as i (tenant_id, cluster_id, serial)
    where c.tenant_id = i.tenant_id and c.cluster_id = i.cluster_id and c.serial = i.serial
      and c.state = 'New'
    returning c.tenant_id, c.cluster_id, c.serial
)
update certificates c set state = 'Retired'
from seen s
where c.tenant_id = s.tenant_id and c.cluster_id = s.cluster_id and c.serial <> s.serial
  and c.state = 'Current'

-- name: grant_epochs
-- Give each cluster its next epoch. Rows are locked in the order of their keys, as in every
-- statement that takes several sessions, so that none waits in a circle. A takeover is a grant to
-- another instance while the one before was alive and had not let go. An epoch is higher than the
-- one that the agent holds, too: a restored database has forgotten some. A claim leaps a million at
-- most, so that epochs cannot be used up.
insert into sessions as s
    (tenant_id, cluster_id, epoch, instance_id, relay_id, connected_at, last_heartbeat, ca_bundle)
select i.tenant_id, i.cluster_id, i.held + 1, i.instance_id, %(relay_id)s, %(now)s, %(now)s,
       i.ca_bundle
from unnest(%(tenants)s::text[], %(clusters)s::uuid[], %(instances)s::text[], %(held)s::bigint[],
            %(ca_bundles)s::text[])
     as i (tenant_id, cluster_id, instance_id, held, ca_bundle)
order by i.tenant_id, i.cluster_id
on conflict (tenant_id, cluster_id) do update set
    epoch = greatest(s.epoch + 1, least(excluded.epoch, s.epoch + 1000000)),
    instance_id = excluded.instance_id,
    relay_id = excluded.relay_id,
    connected_at = excluded.connected_at,
    last_heartbeat = greatest(s.last_heartbeat, excluded.last_heartbeat),
    heartbeat_sequence = 0,
    ca_bundle = excluded.ca_bundle,
    takeovers = case
        when s.relay_id = '' or s.instance_id = excluded.instance_id
             or s.last_heartbeat < %(alive_since)s then s.takeovers
        when s.last_takeover_at > %(window_start)s then s.takeovers + 1
        else 1 end,
    last_takeover_at = case
        when s.relay_id = '' or s.instance_id = excluded.instance_id
             or s.last_heartbeat < %(alive_since)s then s.last_takeover_at
        else %(now)s end
returning s.tenant_id, s.cluster_id, s.epoch, s.takeovers,
          s.last_takeover_at is not distinct from %(now)s as taken_over

-- name: mark_connected
-- Clusters that open a stream are connected, and run what they say they run. A row that another
-- transaction holds is left to the connectivity sweep.
with changed as (
    select k.tenant_id, k.cluster_id, i.agent_version, i.kubernetes_version, i.distribution
    from unnest(%(tenants)s::text[], %(clusters)s::uuid[], %(agent_versions)s::text[],
                %(kubernetes_versions)s::text[], %(distributions)s::text[])
         as i (tenant_id, cluster_id, agent_version, kubernetes_version, distribution)
    join clusters k using (tenant_id, cluster_id)
    where k.state in ('Pending', 'Offline', 'Expired')
       or (k.agent_version, k.kubernetes_version, k.distribution)
          is distinct from (i.agent_version, i.kubernetes_version, i.distribution)
    for update of k skip locked
)
update clusters k set
    agent_version = c.agent_version,
    kubernetes_version = c.kubernetes_version,
    distribution = c.distribution,
    state_since = case when k.state in ('Pending', 'Offline', 'Expired') then %(now)s
                       else k.state_since end,
    state = case when k.state in ('Pending', 'Offline', 'Expired') then 'Connected'
                 else k.state end
from changed c
where k.tenant_id = c.tenant_id and k.cluster_id = c.cluster_id

-- name: release
-- Sessions whose streams ended in this relay; a newer epoch is left alone.
with mine as (
    select s.tenant_id, s.cluster_id
    from unnest(%(tenants)s::text[], %(clusters)s::uuid[], %(epochs)s::bigint[])
         as i (tenant_id, cluster_id, epoch)
    join sessions s using (tenant_id, cluster_id)
    where s.epoch = i.epoch and s.relay_id = %(relay_id)s
    order by s.tenant_id, s.cluster_id
    for update of s
)
update sessions s set relay_id = ''
from mine m
where s.tenant_id = m.tenant_id and s.cluster_id = m.cluster_id

-- name: note_bundles
-- The roots that agents trust by now; what an older session said is left out.
with mine as (
    select s.tenant_id, s.cluster_id, i.digest
    from unnest(%(tenants)s::text[], %(clusters)s::uuid[], %(epochs)s::bigint[], %(digests)s::text[])
         as i (tenant_id, cluster_id, epoch, digest)
    join sessions s using (tenant_id, cluster_id)
    where s.epoch = i.epoch
    order by s.tenant_id, s.cluster_id
    for update of s
)
update sessions s set ca_bundle = m.digest
from mine m
where s.tenant_id = m.tenant_id and s.cluster_id = m.cluster_id

-- name: find_changed_epochs
-- Which of these sessions have another epoch by now; 0 where there is none any more.
select i.tenant_id, i.cluster_id, coalesce(s.epoch, 0) as epoch
from unnest(%(tenants)s::text[], %(clusters)s::uuid[], %(epochs)s::bigint[])
     as i (tenant_id, cluster_id, epoch)
left join sessions s using (tenant_id, cluster_id)
where s.epoch is distinct from i.epoch

-- name: find_revoked
-- Certificates revoked since a moment, however many streams there are.
select c.tenant_id, c.cluster_id, c.serial
from certificates c
where c.revoked_at >= %(since)s

-- name: find_suspended_tenants
-- Tenants whose streams must not go on. A purged one has no clusters any more.
select t.tenant_id
from tenants t
where t.state <> 'Active' and t.purged_at is null

-- name: name_of
-- The name that people know a cluster by.
select k.name
from clusters k
where k.tenant_id = %(tenant)s and k.cluster_id = %(cluster)s
