-- name: list
-- A page of clusters by name. `requirements` is a list of {key, operator, values}, as in Kubernetes:
-- a missing label satisfies NotIn. Deregistered clusters are shown only when they are asked for.
select c.*, s.last_heartbeat, s.clock_skew_ms, s.extensions, s.extensions_ready, s.extensions_failed,
       s.extensions_drifted, s.takeovers, s.last_takeover_at, i.summary as inventory,
       i.reported_at as inventory_at, p.serial, p.not_before, p.not_after
from clusters c
left join sessions s on s.tenant_id = c.tenant_id and s.cluster_id = c.cluster_id
left join inventories i on i.tenant_id = c.tenant_id and i.cluster_id = c.cluster_id
left join lateral (
    select serial, not_before, not_after from certificates p
    where p.tenant_id = c.tenant_id and p.cluster_id = c.cluster_id and p.state in ('New', 'Current')
    order by p.not_after desc limit 1
) p on true
where c.tenant_id = %(tenant)s
  and (%(state)s::text is null and c.deregistered_at is null or c.state = %(state)s)
  and (%(text)s::text is null or strpos(c.name, %(text)s) > 0
       or strpos(c.distribution, %(text)s) > 0 or strpos(c.kubernetes_version, %(text)s) > 0)
  and (%(after_name)s::text is null
       or (c.name, c.cluster_id) > (%(after_name)s, %(after_id)s::uuid))
  and not exists (
      select from jsonb_to_recordset(%(requirements)s) as r(key text, operator text, values jsonb)
      where not case r.operator
          when 'In' then coalesce(r.values ? (c.labels ->> r.key), false)
          when 'NotIn' then not coalesce(r.values ? (c.labels ->> r.key), false)
          when 'Exists' then c.labels ? r.key
          else not c.labels ? r.key
      end
  )
order by c.name, c.cluster_id
limit %(limit)s;

-- name: get
-- One cluster that is registered.
select c.*, s.last_heartbeat, s.clock_skew_ms, s.extensions, s.extensions_ready, s.extensions_failed,
       s.extensions_drifted, s.takeovers, s.last_takeover_at, i.summary as inventory,
       i.reported_at as inventory_at, p.serial, p.not_before, p.not_after
from clusters c
left join sessions s on s.tenant_id = c.tenant_id and s.cluster_id = c.cluster_id
left join inventories i on i.tenant_id = c.tenant_id and i.cluster_id = c.cluster_id
left join lateral (
    select serial, not_before, not_after from certificates p
    where p.tenant_id = c.tenant_id and p.cluster_id = c.cluster_id and p.state in ('New', 'Current')
    order by p.not_after desc limit 1
) p on true
where c.tenant_id = %(tenant)s and c.name = %(name)s and c.deregistered_at is null;

-- name: lock
-- Take a registered cluster's row before it is changed.
select cluster_id, version, labels, annotations
from clusters
where tenant_id = %(tenant)s and name = %(name)s and deregistered_at is null
for update;

-- name: change
-- Labels and annotations that an operator has set.
update clusters
set labels = %(labels)s, annotations = %(annotations)s, version = version + 1
where tenant_id = %(tenant)s and cluster_id = %(cluster_id)s;

-- name: deregister
-- The cluster leaves. Its row stays for the audit trail, and for its return under the same name.
update clusters
set state = 'Deregistered', state_since = %(now)s, deregistered_at = %(now)s, version = version + 1
where tenant_id = %(tenant)s and cluster_id = %(cluster_id)s;

-- name: close_drifts
-- Nobody watches a cluster that is gone.
update drifts set resolved_at = %(now)s, correcting = false
where tenant_id = %(tenant)s and cluster_id = %(cluster_id)s and resolved_at is null;

-- name: inventory
-- A page of what a cluster consists of.
select kind, namespace, name, data
from inventory_objects
where tenant_id = %(tenant)s and cluster_id = %(cluster_id)s
  and (%(kind)s::text is null or kind = %(kind)s)
  and (%(after_kind)s::text is null
       or (kind, namespace, name) > (%(after_kind)s, %(after_namespace)s, %(after_name)s))
order by kind, namespace, name
limit %(limit)s;

-- name: extensions
-- A page of the extensions of one cluster.
select a.cluster_id, c.name as cluster, a.extension, a.revision, a.absent, a.spec_digest,
       a.generation, a.rollout_id, a.observed_revision, a.phase, a.reason, a.message, a.good_revision,
       a.conditions,
       a.reported_at
from assignments a
join clusters c on c.tenant_id = a.tenant_id and c.cluster_id = a.cluster_id
where a.tenant_id = %(tenant)s and c.name = %(name)s and c.deregistered_at is null
  and (%(after)s::text is null or a.extension > %(after)s)
order by a.extension
limit %(limit)s;
