-- name: add_token
-- Keep a new bootstrap token; only the hash of its secret.
insert into bootstrap_tokens (tenant_id, token_id, secret_sha256, ca, cluster_name, labels,
                              approval, created_by, created_at, expires_at)
values (%(tenant)s, %(token_id)s, %(secret_sha256)s, %(ca)s, %(cluster_name)s, %(labels)s,
        %(approval)s, %(created_by)s, %(created_at)s, %(expires_at)s);

-- name: list_tokens
-- A page of bootstrap tokens, newest first (their ids sort by time).
select t.token_id, t.cluster_name, t.labels, t.approval, t.created_by, t.created_at, t.expires_at, t.used_at,
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
-- Take a token's row, so that of many who present it one comes first. The tenant's policy is the
-- one of this moment: a token that was made before it is no way around it.
select t.secret_sha256, t.ca, t.cluster_name, t.labels,
       t.approval or coalesce(p.approval, false) as approval, t.created_at, t.expires_at,
       t.revoked_at, t.used_at, t.used_key, t.used_cluster,
       e.state as enrolment, e.requested_at, e.decided_at, e.completed_at
from bootstrap_tokens t
join tenants on tenants.tenant_id = t.tenant_id and tenants.state = 'Active'
left join joining_policies p on p.tenant_id = t.tenant_id
left join enrolments e on e.tenant_id = t.tenant_id and e.token_id = t.token_id
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

-- name: ask_approval
-- A cluster that waits for an admin from now on; nothing comes back when one of that name does.
insert into enrolments (tenant_id, token_id, cluster_id, name, key_pin, labels, facts, address, state,
                        requested_at)
values (%(tenant)s, %(token_id)s, %(cluster_id)s, %(name)s, %(key_pin)s, %(labels)s, %(facts)s,
        %(address)s, 'Pending', %(now)s)
on conflict do nothing
returning token_id;

-- name: end_overdue
-- Requests of a name that nobody decided about in time stand in nobody's way.
update enrolments set state = 'Rejected', decided_at = %(now)s, decided_by = 'system:time'
where tenant_id = %(tenant)s and name = %(name)s and state = 'Pending'
  and requested_at <= %(before)s;

-- name: list_enrolments
-- A page of those that asked to join, newest first (their tokens' ids sort by time).
select e.token_id, e.cluster_id, e.name, e.key_pin, e.labels, e.facts, e.address, e.state,
       e.requested_at, e.decided_at, e.decided_by, e.reason
from enrolments e
where e.tenant_id = %(tenant)s and (%(before)s::uuid is null or e.token_id < %(before)s)
  and (%(state)s::text is null or e.state = %(state)s)
  and (e.state <> 'Pending' or e.requested_at > %(since)s)
order by e.token_id desc
limit %(limit)s;

-- name: lock_enrolment
-- Take the request of a name that waits, or else the one decided last.
select e.token_id, e.cluster_id, e.name, e.key_pin, e.labels, e.facts, e.address, e.state,
       e.requested_at, e.decided_at, e.decided_by, e.reason
from enrolments e
where e.tenant_id = %(tenant)s and e.name = %(name)s
  and (e.state <> 'Pending' or e.requested_at > %(since)s)
order by (e.state = 'Pending') desc, e.token_id desc
limit 1
for update of e;

-- name: decide_enrolment
-- What an admin decided.
update enrolments set state = %(state)s, decided_at = %(now)s, decided_by = %(actor)s,
                      reason = %(reason)s
where tenant_id = %(tenant)s and token_id = %(token_id)s and state = 'Pending';

-- name: complete_enrolment
-- The cluster has its certificate.
update enrolments set completed_at = coalesce(completed_at, %(now)s)
where tenant_id = %(tenant)s and token_id = %(token_id)s;
