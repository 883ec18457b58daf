-- name: list
-- A page of extensions by name, with how they stand over the fleet. An extension that is gone
-- everywhere is not shown.
select e.name, e.labels, e.version, e.newest, e.deleting, e.created_at, e.updated_at, g.number as good,
       o.rollout_id, t.desired, t.ready, t.failed, t.applying, d.drifted
from extensions e
left join lateral (
    select r.number from revisions r
    where r.tenant_id = e.tenant_id and r.extension = e.name and r.state = 'Good'
    order by r.number desc limit 1
) g on true
left join lateral (
    select r.rollout_id from rollouts r
    where r.tenant_id = e.tenant_id and r.extension = e.name
      and r.state in ('Pending', 'Running', 'Paused', 'AwaitingApproval')
    order by r.created_at desc limit 1
) o on true
left join lateral (
    select count(*) filter (where not a.absent) as desired,
           count(*) filter (where not a.absent and a.phase = 'Ready'
                                  and a.observed_generation = a.generation) as ready,
           count(*) filter (where not a.absent and a.phase = 'Failed'
                                  and a.observed_generation = a.generation) as failed,
           count(*) filter (where a.phase = 'Applying'
                                  or a.observed_generation is distinct from a.generation) as applying
    from assignments a
    join clusters c on c.tenant_id = a.tenant_id and c.cluster_id = a.cluster_id
                   and c.deregistered_at is null
    where a.tenant_id = e.tenant_id and a.extension = e.name
) t on true
left join lateral (
    select count(distinct d.cluster_id) as drifted from drifts d
    where d.tenant_id = e.tenant_id and d.extension = e.name and d.resolved_at is null
) d on true
where e.tenant_id = %(tenant)s and e.deleted_at is null
  and (%(name)s::text is null or e.name = %(name)s)
  and (%(text)s::text is null or strpos(e.name, %(text)s) > 0)
  and (%(after)s::text is null or e.name > %(after)s)
order by e.name
limit %(limit)s;

-- name: spec
-- The content of one revision.
select spec from revisions
where tenant_id = %(tenant)s and extension = %(extension)s and number = %(number)s;

-- name: revisions
-- A page of an extension's history, newest first; with a number only that one.
select r.extension, r.number, r.digest, r.state, r.created_by, r.created_at, r.reason, r.provenance,
       r.quarantine_reason
from revisions r
where r.tenant_id = %(tenant)s and r.extension = %(extension)s
  and (%(number)s::int is null or r.number = %(number)s)
  and (%(before)s::int is null or r.number < %(before)s)
order by r.number desc
limit %(limit)s;

-- name: clusters
-- A page of the clusters that an extension is or was released to, by name.
select a.cluster_id, c.name as cluster, a.extension, a.revision, a.absent, a.spec_digest,
       a.generation, a.rollout_id, a.observed_revision, a.phase, a.reason, a.message, a.good_revision,
       a.conditions,
       a.reported_at
from assignments a
join clusters c on c.tenant_id = a.tenant_id and c.cluster_id = a.cluster_id
where a.tenant_id = %(tenant)s and a.extension = %(extension)s and c.deregistered_at is null
  and (%(after)s::text is null or c.name > %(after)s)
order by c.name
limit %(limit)s;
