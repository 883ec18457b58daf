-- Joining policies: what a tenant asks of clusters that join.

-- name: read
-- The tenant's policy, if it has one.
select approval, version, updated_by, updated_at
from joining_policies
where tenant_id = %(tenant)s;

-- name: put
-- Set the tenant's policy.
insert into joining_policies (tenant_id, approval, updated_by, updated_at)
values (%(tenant)s, %(approval)s, %(actor)s, %(now)s)
on conflict (tenant_id) do update
set approval = excluded.approval, version = joining_policies.version + 1,
    updated_by = excluded.updated_by, updated_at = excluded.updated_at
returning approval, version, updated_by, updated_at;
