-- name: store_heartbeats
-- Take over what is newer: same epoch, higher sequence, never a time in the future. Rows are locked
-- in the order of their keys, so that two flushes at once and a grant of epochs cannot deadlock.
with newer as (
    select i.*
    from unnest(%(tenants)s::text[], %(clusters)s::uuid[], %(epochs)s::bigint[],
                %(sequences)s::bigint[], %(received_ms)s::bigint[], %(skews)s::bigint[],
                %(extensions)s::integer[], %(ready)s::integer[], %(failed)s::integer[],
                %(drifted)s::integer[], %(pending)s::integer[], %(digests)s::text[])
         as i (tenant_id, cluster_id, epoch, sequence, received_ms, skew_ms,
               extensions, ready, failed, drifted, pending, digest)
    join sessions s using (tenant_id, cluster_id)
    where s.epoch = i.epoch and s.heartbeat_sequence < i.sequence
    order by s.tenant_id, s.cluster_id
    for update of s
)
update sessions s set
    last_heartbeat = greatest(s.last_heartbeat, least(to_timestamp(n.received_ms / 1000.0), %(now)s)),
    heartbeat_sequence = n.sequence,
    clock_skew_ms = n.skew_ms,
    extensions = n.extensions,
    extensions_ready = n.ready,
    extensions_failed = n.failed,
    extensions_drifted = n.drifted,
    reports_pending = n.pending,
    desired_digest = n.digest
from newer n
where s.tenant_id = n.tenant_id and s.cluster_id = n.cluster_id
  and s.epoch = n.epoch and s.heartbeat_sequence < n.sequence
