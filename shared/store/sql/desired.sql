-- name: moment
-- The database's time: documents of one cluster are ordered by it, whichever process signs them.
select clock_timestamp();

-- name: outline
-- What a cluster should run, without the specs: enough for the document's digest. A tombstone that
-- the agent has confirmed has done its work and is left out.
select a.extension, a.revision, a.spec_digest, a.absent, a.generation, a.rollout_id, a.correction,
       a.accepted_drift, a.traceparent
from assignments a
where a.tenant_id = %(tenant)s and a.cluster_id = %(cluster_id)s
  and not (a.absent and a.phase is not distinct from 'Removed'
           and a.observed_generation is not distinct from a.generation)
order by a.extension;

-- name: specs
-- The specs that a document carries.
select digest, spec
from resolved_specs
where tenant_id = %(tenant)s and digest = any(%(digests)s::text[]);
