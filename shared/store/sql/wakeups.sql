-- name: take_wakeups
-- The oldest wake-ups that nobody else is sending; they stay locked until they are deleted.
select o.tenant_id, o.outbox_id, o.cluster_id, o.topic, o.traceparent, o.created_at
from outbox o
order by o.outbox_id
limit %(limit)s
for update skip locked

-- name: delete_wakeups
-- Wake-ups that were sent, or are too old to be worth it.
delete from outbox o
using unnest(%(tenants)s::text[], %(ids)s::bigint[]) as i (tenant_id, outbox_id)
where o.tenant_id = i.tenant_id and o.outbox_id = i.outbox_id
