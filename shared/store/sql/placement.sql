-- Clusters that come under an extension's placement, or leave it.

-- name: mark_cluster
-- Every extension of the tenant may now be for this cluster, or no longer.
insert into reconsiderations (tenant_id, extension, cluster_id)
select e.tenant_id, e.name, %(cluster)s
from extensions e
where e.tenant_id = %(tenant)s
  and (e.deleted_at is null
       or exists (select from assignments a
                  where a.tenant_id = e.tenant_id and a.extension = e.name
                    and a.cluster_id = %(cluster)s and not a.absent))
on conflict (tenant_id, extension, cluster_id) do nothing

-- name: drop_cluster
-- A cluster that is gone is not looked at again.
delete from reconsiderations
where tenant_id = %(tenant)s and cluster_id = %(cluster)s

-- name: waiting_extensions
-- Extensions with clusters to look at again that can be reached, and nothing else under way.
select w.tenant_id, w.extension
from reconsiderations w
join clusters c on c.tenant_id = w.tenant_id and c.cluster_id = w.cluster_id
where c.state = 'Connected' and coalesce(c.not_now_until <= %(now)s, true)
  and exists (select from tenants t where t.tenant_id = w.tenant_id and t.state = 'Active')
  and not exists (select from rollouts r
                  where r.tenant_id = w.tenant_id and r.extension = w.extension
                    and r.state in ('Pending','Running','Paused','AwaitingApproval'))
group by w.tenant_id, w.extension
order by min(w.since)
limit %(limit)s

-- name: take_waiting
-- The clusters of one extension to look at again that can be reached; they leave the list.
with taken as (
    select w.cluster_id
    from reconsiderations w
    join clusters c on c.tenant_id = w.tenant_id and c.cluster_id = w.cluster_id
    where w.tenant_id = %(tenant)s and w.extension = %(extension)s
      and c.state = 'Connected' and coalesce(c.not_now_until <= %(now)s, true)
    order by w.since
    limit %(limit)s
    for update of w skip locked
)
delete from reconsiderations d
using taken t
where d.tenant_id = %(tenant)s and d.extension = %(extension)s and d.cluster_id = t.cluster_id
returning d.cluster_id
