-- Artifact policies: where a tenant's extensions may come from.

-- name: read
-- The tenant's policy, if it has one.
select spec, version, updated_by, updated_at
from artifact_policies
where tenant_id = %(tenant)s;

-- name: put
-- Set the tenant's policy.
insert into artifact_policies (tenant_id, spec, updated_by, updated_at)
values (%(tenant)s, %(spec)s, %(actor)s, %(now)s)
on conflict (tenant_id) do update
set spec = excluded.spec, version = artifact_policies.version + 1,
    updated_by = excluded.updated_by, updated_at = excluded.updated_at
returning spec, version, updated_by, updated_at;
