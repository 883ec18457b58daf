-- The data of one deleted tenant, in an order that no foreign key minds; a bounded number of rows at
-- a time. The audit trail stays, and with it the row in `tenants`.

-- name: deleted_tenants
-- Deleted tenants of which something may be left.
select tenant_id from tenants where state = 'Deleted' and purged_at is null order by tenant_id;

-- name: mark_purged
-- Nothing is left of the tenant but its audit trail.
update tenants set purged_at = %(now)s where tenant_id = %(tenant)s;

-- name: drifts
-- The tenant's drifts.
delete from drifts
where tenant_id = %(tenant)s and drift_id in (
    select drift_id from drifts where tenant_id = %(tenant)s limit %(limit)s
);

-- name: status_events
-- The tenant's status events.
delete from status_events
where tenant_id = %(tenant)s and (cluster_id, event_id, received_at) in (
    select cluster_id, event_id, received_at from status_events where tenant_id = %(tenant)s limit %(limit)s
);

-- name: inventory_objects
-- The tenant's inventory objects.
delete from inventory_objects
where tenant_id = %(tenant)s and (cluster_id, kind, namespace, name) in (
    select cluster_id, kind, namespace, name from inventory_objects where tenant_id = %(tenant)s limit %(limit)s
);

-- name: inventories
-- The tenant's inventories.
delete from inventories
where tenant_id = %(tenant)s and cluster_id in (
    select cluster_id from inventories where tenant_id = %(tenant)s limit %(limit)s
);

-- name: sessions
-- The tenant's sessions.
delete from sessions
where tenant_id = %(tenant)s and cluster_id in (
    select cluster_id from sessions where tenant_id = %(tenant)s limit %(limit)s
);

-- name: certificates
-- The tenant's certificates.
delete from certificates
where tenant_id = %(tenant)s and (cluster_id, serial) in (
    select cluster_id, serial from certificates where tenant_id = %(tenant)s limit %(limit)s
);

-- name: outbox
-- The tenant's outbox.
delete from outbox
where tenant_id = %(tenant)s and outbox_id in (
    select outbox_id from outbox where tenant_id = %(tenant)s limit %(limit)s
);

-- name: known_good
-- The tenant's known good.
delete from known_good
where tenant_id = %(tenant)s and (cluster_id, extension, revision, spec_digest) in (
    select cluster_id, extension, revision, spec_digest from known_good where tenant_id = %(tenant)s limit %(limit)s
);

-- name: reconsiderations
-- The tenant's reconsiderations.
delete from reconsiderations
where tenant_id = %(tenant)s and (extension, cluster_id) in (
    select extension, cluster_id from reconsiderations where tenant_id = %(tenant)s limit %(limit)s
);

-- name: assignments
-- The tenant's assignments.
delete from assignments
where tenant_id = %(tenant)s and (cluster_id, extension) in (
    select cluster_id, extension from assignments where tenant_id = %(tenant)s limit %(limit)s
);

-- name: rollout_targets
-- The tenant's rollout targets.
delete from rollout_targets
where tenant_id = %(tenant)s and (rollout_id, cluster_id) in (
    select rollout_id, cluster_id from rollout_targets where tenant_id = %(tenant)s limit %(limit)s
);

-- name: rollout_stages
-- The tenant's rollout stages.
delete from rollout_stages
where tenant_id = %(tenant)s and (rollout_id, stage) in (
    select rollout_id, stage from rollout_stages where tenant_id = %(tenant)s limit %(limit)s
);

-- name: rollouts
-- The tenant's rollouts.
delete from rollouts
where tenant_id = %(tenant)s and rollout_id in (
    select rollout_id from rollouts where tenant_id = %(tenant)s limit %(limit)s
);

-- name: revisions
-- The tenant's revisions.
delete from revisions
where tenant_id = %(tenant)s and (extension, number) in (
    select extension, number from revisions where tenant_id = %(tenant)s limit %(limit)s
);

-- name: extensions
-- The tenant's extensions.
delete from extensions
where tenant_id = %(tenant)s and name in (
    select name from extensions where tenant_id = %(tenant)s limit %(limit)s
);

-- name: resolved_specs
-- The tenant's resolved specs.
delete from resolved_specs
where tenant_id = %(tenant)s and digest in (
    select digest from resolved_specs where tenant_id = %(tenant)s limit %(limit)s
);

-- name: freezes
-- The tenant's freezes.
delete from freezes
where tenant_id = %(tenant)s and name in (
    select name from freezes where tenant_id = %(tenant)s limit %(limit)s
);

-- name: artifact_policies
-- The tenant's artifact policy.
delete from artifact_policies
where tenant_id = %(tenant)s and tenant_id in (
    select tenant_id from artifact_policies where tenant_id = %(tenant)s limit %(limit)s
);

-- name: joining_policies
-- The tenant's joining policy.
delete from joining_policies
where tenant_id = %(tenant)s and tenant_id in (
    select tenant_id from joining_policies where tenant_id = %(tenant)s limit %(limit)s
);

-- name: enrolments
-- Who asked to join.
delete from enrolments
where tenant_id = %(tenant)s and token_id in (
    select token_id from enrolments where tenant_id = %(tenant)s limit %(limit)s
);

-- name: bootstrap_tokens
-- The tenant's bootstrap tokens.
delete from bootstrap_tokens
where tenant_id = %(tenant)s and token_id in (
    select token_id from bootstrap_tokens where tenant_id = %(tenant)s limit %(limit)s
);

-- name: idempotency_keys
-- The tenant's idempotency keys.
delete from idempotency_keys
where tenant_id = %(tenant)s and key in (
    select key from idempotency_keys where tenant_id = %(tenant)s limit %(limit)s
);

-- name: clusters
-- The tenant's clusters.
delete from clusters
where tenant_id = %(tenant)s and cluster_id in (
    select cluster_id from clusters where tenant_id = %(tenant)s limit %(limit)s
);
