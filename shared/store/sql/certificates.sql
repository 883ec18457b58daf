-- name: find_by_key
-- The certificate that a key has here already.
select serial, pem_chain, not_after
from certificates
where tenant_id = %(tenant)s and cluster_id = %(cluster_id)s and public_key = %(public_key)s
  and state in ('New', 'Current')
order by issued_at desc
limit 1;

-- name: lock_cluster
-- Take the cluster's row, so that its certificates change one at a time.
select name, deregistered_at is not null as deregistered
from clusters
where tenant_id = %(tenant)s and cluster_id = %(cluster_id)s
for update;

-- name: add
-- Keep an issued certificate, unless the CA that signed it was removed meanwhile.
insert into certificates (tenant_id, cluster_id, serial, sha256, public_key, pem_chain, ca, state,
                          not_before, not_after, issued_at)
select %(tenant)s, %(cluster_id)s, %(serial)s, %(sha256)s, %(public_key)s, %(pem_chain)s,
       g.generation_id, %(state)s, %(not_before)s, %(not_after)s, %(now)s
from ca_generations g
where g.generation_id = %(ca)s and g.state <> 'Removed';

-- name: retire_all
-- No certificate that the cluster had before is good any more.
update certificates set state = 'Retired'
where tenant_id = %(tenant)s and cluster_id = %(cluster_id)s and state in ('New', 'Current');

-- name: retire_unseen
-- A renewal whose answer never arrived makes way for the next one.
update certificates set state = 'Retired'
where tenant_id = %(tenant)s and cluster_id = %(cluster_id)s and state = 'New';

-- name: reinstate
-- The certificate that a renewal came over is the current one, whatever was seen of it before.
with others as (
    update certificates set state = 'Retired'
    where tenant_id = %(tenant)s and cluster_id = %(cluster_id)s and state = 'Current'
      and serial <> %(serial)s
)
update certificates set state = 'Current'
where tenant_id = %(tenant)s and cluster_id = %(cluster_id)s and serial = %(serial)s;

-- name: revoke_all
-- Every certificate of the cluster that is or was good is revoked from now on.
update certificates set state = 'Revoked', revoked_at = %(now)s
where tenant_id = %(tenant)s and cluster_id = %(cluster_id)s and state in ('New', 'Current', 'Retired')
  and not_after > %(now)s
returning serial;

-- name: state_of
-- Whether a serial of a cluster is good.
select state, not_after from certificates
where tenant_id = %(tenant)s and cluster_id = %(cluster_id)s and serial = %(serial)s;

-- name: find_by_thumbprint
-- Whose certificate this is, and all that decides whether it may be used.
select p.tenant_id, p.cluster_id, p.serial, p.public_key, p.state, p.not_after,
       c.name as cluster_name, c.deregistered_at is not null as deregistered,
       t.state as tenant_state
from certificates p
join clusters c on c.tenant_id = p.tenant_id and c.cluster_id = p.cluster_id
join tenants t on t.tenant_id = p.tenant_id
where p.sha256 = %(sha256)s;

-- name: seen
-- The new certificate is in use: from now on it is the only good one.
with adopted as (
    update certificates set state = 'Current'
    where tenant_id = %(tenant)s and cluster_id = %(cluster_id)s and serial = %(serial)s
      and state = 'New'
    returning serial
)
update certificates set state = 'Retired'
where tenant_id = %(tenant)s and cluster_id = %(cluster_id)s and state = 'Current'
  and serial <> %(serial)s and exists (select from adopted);

-- name: mark_revoked
-- The cluster's state after a revocation; a deregistered one stays that.
update clusters set state = 'Revoked', state_since = %(now)s, version = version + 1
where tenant_id = %(tenant)s and cluster_id = %(cluster_id)s and deregistered_at is null;

-- name: announce
-- Tell the relays, so that an open stream ends.
insert into outbox (tenant_id, cluster_id, topic, traceparent)
values (%(tenant)s, %(cluster_id)s, 'revoked', %(traceparent)s);
