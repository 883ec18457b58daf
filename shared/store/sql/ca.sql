-- name: trusted
-- The generations of the CA that somebody may still trust, oldest first.
select generation_id, chain, key_id, state, serves_since
from ca_generations
where state <> 'Removed'
order by prepared_at, generation_id;

-- name: add_first
-- The CA that a control plane starts with issues at once. Nothing happens when there is one.
insert into ca_generations (generation_id, chain, key_id, pin, not_after, state, serves_since,
                            prepared_by, prepared_at, issuing_at)
select %(generation_id)s, %(chain)s, %(key_id)s, %(pin)s, %(not_after)s, 'Issuing', %(now)s,
       'system:start', %(now)s, %(now)s
where not exists (select from ca_generations)
on conflict do nothing;

-- name: prepare
-- A generation that is to follow; nothing comes back when another one is prepared already.
insert into ca_generations (generation_id, chain, key_id, pin, not_after, state, prepared_by,
                            audit_tenant, prepared_at)
values (%(generation_id)s, %(chain)s, %(key_id)s, %(pin)s, %(not_after)s, 'Prepared', %(actor)s,
        %(audit_tenant)s, %(now)s)
on conflict do nothing
returning generation_id;

-- name: override
-- Let the prepared generation go on without the clusters that are offline.
update ca_generations set overridden_by = %(actor)s
where generation_id = %(generation_id)s and state = 'Prepared' and overridden_by is null
returning generation_id;

-- name: abort
-- Nobody is to trust the prepared generation any more. Nothing comes back when none is prepared, or
-- another one than is named. One that is being activated at this moment is waited for, and issues.
update ca_generations set state = 'Removed', removed_at = %(now)s
where state = 'Prepared' and generation_id = coalesce(%(generation_id)s, generation_id)
returning generation_id;

-- name: stages
-- Where every generation that there ever was stands, newest first.
select generation_id, state, issuing_at
from ca_generations
order by prepared_at desc, generation_id desc;

-- name: claim_prepared
-- The generation is still prepared, and stays so until this transaction ends: an abort waits for it.
select generation_id from ca_generations
where generation_id = %(generation_id)s and state = 'Prepared'
for update;

-- name: retire_issuing
-- The generation that issues makes way for the prepared one.
update ca_generations set state = 'Retiring', retiring_at = %(now)s
where state = 'Issuing'
  and exists (select from ca_generations
              where generation_id = %(generation_id)s and state = 'Prepared');

-- name: activate
-- The prepared generation issues from now on.
update ca_generations set state = 'Issuing', issuing_at = %(now)s
where generation_id = %(generation_id)s and state = 'Prepared'
returning audit_tenant;

-- name: serve
-- The relays' own certificates are of it from now on.
update ca_generations set serves_since = %(now)s
where generation_id = %(generation_id)s and state = 'Issuing' and serves_since is null
returning audit_tenant;

-- name: remove
-- Nobody trusts it any more. Told where the rotation that replaced it is told.
update ca_generations g set state = 'Removed', removed_at = %(now)s
where g.generation_id = %(generation_id)s and g.state = 'Retiring'
returning (select i.audit_tenant from ca_generations i where i.state = 'Issuing') as audit_tenant;

-- name: list
-- Every generation with the number of good certificates of it; removed ones for a while.
select g.generation_id, g.chain, g.key_id, g.pin, g.not_after, g.state, g.serves_since,
       g.prepared_by, g.overridden_by, g.prepared_at, g.issuing_at, g.retiring_at, g.removed_at,
       coalesce(live.certificates, 0) as certificates
from ca_generations g
left join (
    select p.ca, count(*) as certificates
    from certificates p
    where p.state in ('New', 'Current') and p.not_after > %(now)s
    group by p.ca
) live on live.ca = g.generation_id
where g.state <> 'Removed' or g.removed_at > %(removed_after)s
order by g.prepared_at desc, g.generation_id desc;

-- name: holders
-- Clusters with a good certificate, by whether they are known to trust the newest roots: they said
-- so, or the certificate that they use is of the newest generation. One that registered after it
-- was prepared gets a minute to say so.
with holders as (
    select c.state = 'Connected' as connected,
           s.ca_bundle = %(digest)s
               or bool_or(p.ca = %(newest)s and p.state = 'Current') as holds,
           min(p.issued_at) > %(prepared_at)s
               and coalesce(s.connected_at, max(p.issued_at)) > %(fresh_after)s as fresh
    from certificates p
    join clusters c on c.tenant_id = p.tenant_id and c.cluster_id = p.cluster_id
    join sessions s on s.tenant_id = p.tenant_id and s.cluster_id = p.cluster_id
    where p.state in ('New', 'Current') and p.not_after > %(now)s and c.deregistered_at is null
    group by p.tenant_id, p.cluster_id, c.state, s.ca_bundle, s.connected_at
)
select count(*) filter (where holds) as acknowledged,
       count(*) filter (where not holds and connected and not fresh) as pending_connected,
       count(*) filter (where not holds and not connected and not fresh) as pending_offline,
       count(*) filter (where not holds and fresh) as pending_fresh
from holders;

-- name: stragglers
-- Some of those that are not known to trust the newest roots, connected ones first.
select p.tenant_id, p.cluster_id, c.state = 'Connected' as connected, s.last_heartbeat
from certificates p
join clusters c on c.tenant_id = p.tenant_id and c.cluster_id = p.cluster_id
join sessions s on s.tenant_id = p.tenant_id and s.cluster_id = p.cluster_id
where p.state in ('New', 'Current') and p.not_after > %(now)s and c.deregistered_at is null
  and s.ca_bundle <> %(digest)s
group by p.tenant_id, p.cluster_id, c.state, s.last_heartbeat
having not bool_or(p.ca = %(newest)s and p.state = 'Current')
order by c.state = 'Connected' desc, s.last_heartbeat desc nulls last, p.tenant_id, p.cluster_id
limit %(limit)s;

-- name: count_tokens
-- Bootstrap tokens of these generations that somebody may still register with: unspent ones, spent
-- ones whose cluster may be asking for its answer again, and those that wait for an admin.
select t.ca, count(*) as tokens
from bootstrap_tokens t
left join sessions s on s.tenant_id = t.tenant_id and s.cluster_id = t.used_cluster
left join enrolments e on e.tenant_id = t.tenant_id and e.token_id = t.token_id
where t.ca = any(%(generations)s::text[]) and t.revoked_at is null
  and ((e.state in ('Pending', 'Approved') and e.completed_at is null
        and coalesce(e.decided_at, e.requested_at) > %(asked_after)s)
       or (t.used_at is null and t.expires_at > %(now)s)
       or (t.used_at > %(used_after)s
           and (s.connected_at is null or s.connected_at < t.used_at)))
group by t.ca;

-- name: note_relay
-- What a relay takes and presents now.
insert into relays (relay_id, trusts, serves, seen_at)
values (%(relay_id)s, %(trusts)s, %(serves)s, %(now)s)
on conflict (relay_id) do update set
    trusts = excluded.trusts, serves = excluded.serves, seen_at = excluded.seen_at;

-- name: forget_relay
-- A relay has ended in order.
delete from relays where relay_id = %(relay_id)s;

-- name: forget_silent_relays
-- Relays that ended without a word.
delete from relays where seen_at < %(before)s;

-- name: relays
-- The relays that are there.
select relay_id, trusts, serves, seen_at from relays where seen_at >= %(since)s order by relay_id;
