-- name: state_of
-- Whether a tenant may use the service.
select state from tenants where tenant_id = %(tenant)s;

-- name: add
-- A new tenant; nothing comes back when the name is taken, by a deleted one too.
insert into tenants (tenant_id, quotas, created_at) values (%(tenant)s, %(quotas)s, %(now)s)
on conflict (tenant_id) do nothing
returning tenant_id;

-- name: list
-- A page of tenants by name, with what they use; with a name only that one.
select t.tenant_id, t.state, t.quotas, t.created_at, u.clusters, u.extensions, u.publishes
from tenants t
cross join lateral (
    select
        (select count(*) from clusters c
         where c.tenant_id = t.tenant_id and c.deregistered_at is null) as clusters,
        (select count(*) from extensions e
         where e.tenant_id = t.tenant_id and e.deleted_at is null and e.newest > 0) as extensions,
        (select count(*) from revisions r
         where r.tenant_id = t.tenant_id and r.created_at > %(hour_ago)s) as publishes
) u
where (%(tenant)s::text is null or t.tenant_id = %(tenant)s)
  and (%(after)s::text is null or t.tenant_id > %(after)s)
order by t.tenant_id
limit %(limit)s;

-- name: lock
-- Take a tenant's row before it is changed.
select state, importing from tenants where tenant_id = %(tenant)s for update;

-- name: change_state
-- Suspend, resume or delete, which ends an import.
update tenants set state = %(state)s, importing = null where tenant_id = %(tenant)s;

-- name: change_quotas
-- What the tenant may have from now on.
update tenants set quotas = %(quotas)s where tenant_id = %(tenant)s;

-- name: usage
-- What decides whether there may be one more.
select t.quotas,
       (select count(*) from clusters c
        where c.tenant_id = t.tenant_id and c.deregistered_at is null) as clusters,
       (select count(*) from extensions e
        where e.tenant_id = t.tenant_id and e.deleted_at is null and e.newest > 0) as extensions,
       (select count(*) from revisions r
        where r.tenant_id = t.tenant_id and r.created_at > %(hour_ago)s) as publishes
from tenants t
where t.tenant_id = %(tenant)s;
