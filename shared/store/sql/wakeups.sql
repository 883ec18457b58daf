-- name: take_wakeups
-- Take the oldest wake-ups that nobody else is sending out of the outbox. They are gone once the
-- transaction commits, after they were published.
delete from outbox o
using (
    select tenant_id, outbox_id
    from outbox
    order by outbox_id
    limit %(limit)s
    for update skip locked
) oldest
where o.tenant_id = oldest.tenant_id and o.outbox_id = oldest.outbox_id
returning o.tenant_id, o.outbox_id, o.cluster_id, o.topic, o.traceparent, o.created_at
