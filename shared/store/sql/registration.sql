-- name: add_token
-- Keep a new bootstrap token; only the hash of its secret.
insert into bootstrap_tokens (tenant_id, token_id, secret_sha256, ca, cluster_name, labels,
                              created_by, created_at, expires_at)
values (%(tenant)s, %(token_id)s, %(secret_sha256)s, %(ca)s, %(cluster_name)s, %(labels)s,
        %(created_by)s, %(created_at)s, %(expires_at)s);

-- name: list_tokens
-- A page of bootstrap tokens, newest first (their ids sort by time).
select t.token_id, t.cluster_name, t.labels, t.created_by, t.created_at, t.expires_at, t.used_at,
       t.revoked_at, c.name as used_by_cluster
from bootstrap_tokens t
left join clusters c on c.tenant_id = t.tenant_id and c.cluster_id = t.used_cluster
where t.tenant_id = %(tenant)s and (%(before)s::uuid is null or t.token_id < %(before)s)
order by t.token_id desc
limit %(limit)s;

-- name: revoke_token
-- Make a token useless; one that was revoked before stays as it was.
update bootstrap_tokens set revoked_at = coalesce(revoked_at, %(now)s)
where tenant_id = %(tenant)s and token_id = %(token_id)s
returning token_id, cluster_name;

-- name: lock_token
-- Take a token's row, so that of many who present it one comes first.
select t.secret_sha256, t.ca, t.cluster_name, t.labels, t.created_at, t.expires_at, t.revoked_at,
       t.used_at, t.used_key, t.used_cluster
from bootstrap_tokens t
join tenants on tenants.tenant_id = t.tenant_id and tenants.state = 'Active'
where t.tenant_id = %(tenant)s and t.token_id = %(token_id)s
for update of t;

-- name: use_token
-- The token is spent on this key, for this cluster.
update bootstrap_tokens set used_at = %(now)s, used_key = %(used_key)s, used_cluster = %(cluster_id)s
where tenant_id = %(tenant)s and token_id = %(token_id)s;

-- name: find_by_name
-- The cluster of that name: the one in use, else the one deregistered last.
select cluster_id, deregistered_at is not null as deregistered
from clusters
where tenant_id = %(tenant)s and name = %(name)s
order by deregistered_at desc nulls first
limit 1;

-- name: add_cluster
-- A cluster that registers for the first time.
insert into clusters (tenant_id, cluster_id, name, labels, kubernetes_version, distribution,
                      agent_version, cluster_uid, state_since, created_at)
values (%(tenant)s, %(cluster_id)s, %(name)s, %(labels)s, %(kubernetes_version)s, %(distribution)s,
        %(agent_version)s, %(cluster_uid)s, %(now)s, %(now)s);

-- name: renew_cluster
-- A cluster that registers again keeps its identity; labels that an operator has set stay.
update clusters
set labels = %(requested)s::jsonb || labels || %(preset)s::jsonb,
    kubernetes_version = %(kubernetes_version)s,
    distribution = %(distribution)s,
    agent_version = %(agent_version)s,
    cluster_uid = %(cluster_uid)s,
    state = 'Pending',
    state_since = %(now)s,
    deregistered_at = null,
    version = version + 1
where tenant_id = %(tenant)s and cluster_id = %(cluster_id)s;

-- name: add_session
-- A place for the cluster's liveness; an earlier one keeps its epoch, which must only grow.
insert into sessions (tenant_id, cluster_id) values (%(tenant)s, %(cluster_id)s)
on conflict (tenant_id, cluster_id) do nothing;
