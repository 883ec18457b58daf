-- name: status_events
-- Reports older than anyone asks for; what they led to stands in the assignments.
delete from status_events
where (tenant_id, cluster_id, event_id, received_at) in (
    select tenant_id, cluster_id, event_id, received_at from status_events
    where received_at < %(before)s
    limit %(limit)s
    for update skip locked
);

-- name: idempotency_keys
-- Keys past their day.
delete from idempotency_keys
where (tenant_id, key) in (
    select tenant_id, key from idempotency_keys where created_at < %(before)s
    limit %(limit)s for update skip locked
);

-- name: drifts
-- Drifts that are over for long.
delete from drifts
where (tenant_id, drift_id) in (
    select tenant_id, drift_id from drifts where resolved_at < %(before)s
    limit %(limit)s for update skip locked
);

-- name: bootstrap_tokens
-- Tokens that nothing can be done with any more; the audit trail remembers them.
delete from bootstrap_tokens
where (tenant_id, token_id) in (
    select tenant_id, token_id from bootstrap_tokens where expires_at < %(before)s
    limit %(limit)s for update skip locked
);

-- name: certificates
-- Certificates that ended long ago, but for the newest of each cluster.
delete from certificates
where (tenant_id, cluster_id, serial) in (
    select p.tenant_id, p.cluster_id, p.serial from certificates p
    where p.not_after < %(before)s
      and exists (
          select from certificates newer
          where newer.tenant_id = p.tenant_id and newer.cluster_id = p.cluster_id
            and newer.not_after > p.not_after
      )
    limit %(limit)s for update skip locked
);
