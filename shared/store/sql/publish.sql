-- Publishing: extensions, their revisions, and where the clusters stand.

-- name: ensure_extension
-- Make the extension's row where there is none, so that it can be locked.
insert into extensions (tenant_id, name, newest)
values (%(tenant)s, %(extension)s, 0)
on conflict (tenant_id, name) do nothing

-- name: lock_extension
-- Take the extension's row: publishing, removing and rolling back it happen one after another.
select name, labels, annotations, version, newest, deleting, deleted_at
from extensions
where tenant_id = %(tenant)s and name = %(extension)s
for no key update

-- name: read_extension
-- The extension as it is, for a plan.
select name, labels, annotations, version, newest, deleting, deleted_at
from extensions
where tenant_id = %(tenant)s and name = %(extension)s

-- name: hold_dependencies
-- One after another: who declares dependencies, and who removes an extension.
select pg_advisory_xact_lock(hashtextextended('dependencies/' || %(tenant)s, 0))

-- name: dependencies
-- What each extension's newest revision depends on, for those where it depends on something.
select e.name, v.depends_on
from extensions e
join revisions v on v.tenant_id = e.tenant_id and v.extension = e.name and v.number = e.newest
where e.tenant_id = %(tenant)s and e.deleted_at is null and v.depends_on <> '{}'

-- name: dependency_gaps
-- Dependencies that some of the clusters neither have nor get from a rollout under way.
with there as (
    select a.extension, a.cluster_id
    from assignments a
    where a.tenant_id = %(tenant)s and a.extension = any(%(needed)s::text[]) and not a.absent
    union
    select r.extension, t.cluster_id
    from rollouts r
    join rollout_targets t on t.tenant_id = r.tenant_id and t.rollout_id = r.rollout_id
    where r.tenant_id = %(tenant)s and r.extension = any(%(needed)s::text[])
      and r.state in ('Pending','Running','Paused','AwaitingApproval') and not t.goal_absent
), gaps as (
    select n.name, c.name as cluster
    from unnest(%(needed)s::text[]) as n(name)
    cross join clusters c
    where c.tenant_id = %(tenant)s and c.cluster_id = any(%(clusters)s::uuid[])
      and not exists (select from there h
                      where h.extension = n.name and h.cluster_id = c.cluster_id)
)
select g.name, e.name is not null as declared, count(*)::int as without,
       (array_agg(g.cluster order by g.cluster))[1:%(named)s] as clusters
from gaps g
left join extensions e on e.tenant_id = %(tenant)s and e.name = g.name
                      and e.newest > 0 and e.deleted_at is null
group by g.name, e.name
order by g.name

-- name: being_removed
-- Those of the extensions that a rollout is removing.
select name
from extensions
where tenant_id = %(tenant)s and name = any(%(names)s::text[]) and deleting
order by name

-- name: dependents
-- The extensions that stay and whose newest revision depends on this one.
select e.name
from extensions e
join revisions v on v.tenant_id = e.tenant_id and v.extension = e.name and v.number = e.newest
where e.tenant_id = %(tenant)s and e.deleted_at is null and not e.deleting
  and v.depends_on @> array[%(extension)s::text]
order by e.name

-- name: revision
-- One revision.
select number, digest, spec, state, provenance, reason, quarantine_reason, created_by, created_at
from revisions
where tenant_id = %(tenant)s and extension = %(extension)s and number = %(number)s

-- name: quarantined_content
-- A quarantined revision with this content.
select number, quarantine_reason
from revisions
where tenant_id = %(tenant)s and extension = %(extension)s and digest = %(digest)s
  and state = 'Quarantined'
order by number desc
limit 1

-- name: current_revision
-- The revision that clusters should have now: the newest Good one, else the newest Candidate.
select number, digest, spec, state
from revisions
where tenant_id = %(tenant)s and extension = %(extension)s and state in ('Good','Candidate')
order by state = 'Good' desc, number desc
limit 1

-- name: insert_revision
-- A new revision.
insert into revisions (tenant_id, extension, number, digest, spec, depends_on, provenance, reason,
                       created_by, created_at)
values (%(tenant)s, %(extension)s, %(number)s, %(digest)s, %(spec)s, %(depends_on)s, %(provenance)s,
        %(reason)s, %(created_by)s, %(now)s)

-- name: supersede_candidates
-- Candidates that a newer revision overtook before they were proven.
update revisions
set state = 'Superseded'
where tenant_id = %(tenant)s and extension = %(extension)s and state = 'Candidate'
  and number < %(number)s

-- name: update_extension
-- The extension now has this newest revision.
update extensions
set newest = %(number)s, labels = %(labels)s, annotations = %(annotations)s, deleting = false,
    deleted_at = null, version = version + 1, updated_at = %(now)s,
    created_at = case when newest = 0 or deleted_at is not null then %(now)s else created_at end
where tenant_id = %(tenant)s and name = %(extension)s

-- name: relabel_extension
-- The same content with other labels or annotations.
update extensions
set labels = %(labels)s, annotations = %(annotations)s, version = version + 1, updated_at = %(now)s
where tenant_id = %(tenant)s and name = %(extension)s

-- name: start_deleting
-- A rollout that removes the extension begins.
update extensions
set deleting = true, version = version + 1, updated_at = %(now)s
where tenant_id = %(tenant)s and name = %(extension)s

-- name: standings
-- Every cluster that may run extensions, with what is desired of this one there.
select c.cluster_id, c.name, c.labels, c.state = 'Connected' as reachable,
       case when a.absent then 0 else coalesce(a.revision, 0) end as revision,
       case when a.absent then null else a.spec_digest end as digest,
       exists (select from target_lacks(c.tenant_id, c.cluster_id, %(extension)s, false,
                                        %(needed)s::text[], '{}')) as is_held
from clusters c
left join assignments a on a.tenant_id = c.tenant_id and a.cluster_id = c.cluster_id
                       and a.extension = %(extension)s
where c.tenant_id = %(tenant)s and c.state not in ('Deregistered','Revoked')

-- name: standings_of
-- The same of some clusters.
select c.cluster_id, c.name, c.labels, c.state = 'Connected' as reachable,
       case when a.absent then 0 else coalesce(a.revision, 0) end as revision,
       case when a.absent then null else a.spec_digest end as digest,
       exists (select from target_lacks(c.tenant_id, c.cluster_id, %(extension)s, false,
                                        %(needed)s::text[], '{}')) as is_held
from clusters c
left join assignments a on a.tenant_id = c.tenant_id and a.cluster_id = c.cluster_id
                       and a.extension = %(extension)s
where c.tenant_id = %(tenant)s and c.state not in ('Deregistered','Revoked')
  and c.cluster_id = any(%(clusters)s::uuid[])

-- name: newest_rollout_of
-- The last rollout that brought a revision out.
select rollout_id
from rollouts
where tenant_id = %(tenant)s and extension = %(extension)s and revision = %(revision)s
  and kind = 'publish'
order by rollout_id desc
limit 1

-- name: brought_out_by
-- The last rollout that brought a revision out, if another is needless: it is under way, or it has
-- proven the revision since the revision's quarantine was lifted.
select newest.rollout_id
from (
    select r.rollout_id, r.state, r.created_at
    from rollouts r
    where r.tenant_id = %(tenant)s and r.extension = %(extension)s and r.revision = %(revision)s
      and r.kind = 'publish'
    order by r.rollout_id desc
    limit 1
) newest
join revisions v on v.tenant_id = %(tenant)s and v.extension = %(extension)s
                and v.number = %(revision)s
where newest.state in ('Pending','Running','Paused','AwaitingApproval')
   or ((newest.state = 'Succeeded' or v.state = 'Good')
       and (v.lifted_at is null or v.lifted_at < newest.created_at))

-- name: specs
-- Some resolved specs.
select digest, spec
from resolved_specs
where tenant_id = %(tenant)s and digest = any(%(digests)s::text[])
