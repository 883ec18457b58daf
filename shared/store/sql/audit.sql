-- name: take_head
-- Hold the end of a tenant's chain until the transaction ends, so that entries follow each other.
insert into event_heads (tenant_id) values (%(tenant)s)
on conflict (tenant_id) do update set tenant_id = excluded.tenant_id
returning sequence, hash, clock_timestamp() as at;

-- name: append
-- Add entries, in one statement however many they are.
insert into events (tenant_id, sequence, at, actor, address, action, subject, reason, message, data,
                    trace_id, previous_hash, hash)
select %(tenant)s, e.sequence, %(at)s, %(actor)s, %(address)s, e.action, e.subject, e.reason,
       e.message, e.data, %(trace_id)s, e.previous_hash, e.hash
from jsonb_to_recordset(%(entries)s)
    as e(sequence bigint, action text, subject text, reason text, message text, data jsonb,
         previous_hash text, hash text);

-- name: move_head
-- The chain's new end.
update event_heads set sequence = %(sequence)s, hash = %(hash)s where tenant_id = %(tenant)s;

-- name: read_head
-- Where a tenant's chain ends.
select sequence, hash from event_heads where tenant_id = %(tenant)s;

-- name: follow
-- A stretch of the chain in order, to be checked.
select sequence, at, actor, address, action, subject, reason, message, data, trace_id,
       previous_hash, hash
from events
where tenant_id = %(tenant)s and sequence > %(after)s
order by sequence
limit %(limit)s;

-- name: list
-- A page of the trail, newest first.
select sequence, at, actor, address, action, subject, reason, message, data, trace_id,
       previous_hash, hash
from events
where tenant_id = %(tenant)s
  and (%(before)s::bigint is null or sequence < %(before)s)
  and (%(subject)s::text is null or subject = %(subject)s)
  and (%(action)s::text is null or action = %(action)s)
  and (%(actor)s::text is null or actor = %(actor)s)
order by sequence desc
limit %(limit)s;
