-- name: lock_session
-- Hold the session so that no newer one starts meanwhile; no row when there is a newer one already.
select s.epoch
from sessions s
where s.tenant_id = %(tenant)s and s.cluster_id = %(cluster)s and s.epoch = %(epoch)s
for share

-- name: checksum
-- What the stored inventory is.
select v.checksum
from inventories v
where v.tenant_id = %(tenant)s and v.cluster_id = %(cluster)s

-- name: set_checksum
-- The inventory now is this one; its objects follow in the same transaction.
insert into inventories as v (tenant_id, cluster_id, checksum, summary, reported_at)
values (%(tenant)s, %(cluster)s, %(checksum)s, '{}', %(now)s)
on conflict (tenant_id, cluster_id) do update set
    checksum = excluded.checksum, reported_at = excluded.reported_at

-- name: put_objects
-- Add objects and change those that differ; what is the same is not written again.
insert into inventory_objects as o (tenant_id, cluster_id, kind, namespace, name, data)
select %(tenant)s, %(cluster)s, i.kind, i.namespace, i.name, i.data
from unnest(%(kinds)s::text[], %(namespaces)s::text[], %(names)s::text[], %(data)s::jsonb[])
     as i (kind, namespace, name, data)
on conflict (tenant_id, cluster_id, kind, namespace, name) do update set data = excluded.data
where o.data is distinct from excluded.data

-- name: keep_only
-- Remove every object that a full inventory does not name.
delete from inventory_objects o
where o.tenant_id = %(tenant)s and o.cluster_id = %(cluster)s
  and not exists (
    select 1
    from unnest(%(kinds)s::text[], %(namespaces)s::text[], %(names)s::text[])
         as i (kind, namespace, name)
    where i.kind = o.kind and i.namespace = o.namespace and i.name = o.name)

-- name: remove_objects
-- Remove the objects that a delta names.
delete from inventory_objects o
using unnest(%(kinds)s::text[], %(namespaces)s::text[], %(names)s::text[])
      as i (kind, namespace, name)
where o.tenant_id = %(tenant)s and o.cluster_id = %(cluster)s
  and o.kind = i.kind and o.namespace = i.namespace and o.name = i.name

-- name: summarize
-- Count what the cluster consists of, in the shape of the contract's InventorySummary.
update inventories v set summary = (
    select jsonb_build_object(
        'nodes', count(*) filter (where o.kind = 'Node'),
        'nodesReady', count(*) filter (where o.kind = 'Node' and o.data -> 'ready' = 'true'),
        'namespaces', count(*) filter (where o.kind = 'Namespace'),
        'workloads', count(*) filter (where o.kind in ('Deployment', 'StatefulSet', 'DaemonSet')),
        'releases', count(*) filter (where o.kind = 'HelmRelease'),
        'cpuMillicores', coalesce(sum(o.number_of_cpu), 0),
        'memoryBytes', coalesce(sum(o.number_of_memory), 0))
    from (
        select i.kind, i.data,
               case when i.kind = 'Node' and jsonb_typeof(i.data -> 'cpuMillicores') = 'number'
                    then trunc((i.data ->> 'cpuMillicores')::numeric) end as number_of_cpu,
               case when i.kind = 'Node' and jsonb_typeof(i.data -> 'memoryBytes') = 'number'
                    then trunc((i.data ->> 'memoryBytes')::numeric) end as number_of_memory
        from inventory_objects i
        where i.tenant_id = %(tenant)s and i.cluster_id = %(cluster)s) o)
where v.tenant_id = %(tenant)s and v.cluster_id = %(cluster)s
