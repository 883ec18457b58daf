-- Freezes and windows: when a tenant's rollouts may release.

-- name: share
-- Held by a look at a rollout until it is committed, so that a freeze that was answered for holds:
-- a change takes the same lock for itself alone, and so waits for the looks that do not know of it.
select pg_advisory_xact_lock_shared(hashtextextended('freezes/' || %(tenant)s, 0));

-- name: of_rollout
-- The freezes and windows that a rollout names, and the tenant's global ones.
select name, spec
from freezes
where tenant_id = %(tenant)s
  and (name = any(%(names)s::text[]) or spec ->> 'scope' = 'global')
order by name;

-- name: known
-- Those of the names that there are.
select name from freezes where tenant_id = %(tenant)s and name = any(%(names)s::text[]);

-- name: list
-- A page by name; with a name only that one.
select name, spec, version, created_by, created_at, updated_at
from freezes
where tenant_id = %(tenant)s
  and (%(name)s::text is null or name = %(name)s)
  and (%(after)s::text is null or name > %(after)s)
order by name
limit %(limit)s;

-- name: count
-- How many the tenant has.
select count(*) as freezes from freezes where tenant_id = %(tenant)s;

-- name: put
-- Make one, or change what it says.
insert into freezes (tenant_id, name, spec, created_by, created_at, updated_at)
values (%(tenant)s, %(name)s, %(spec)s, %(actor)s, %(now)s, %(now)s)
on conflict (tenant_id, name) do update
set spec = excluded.spec, version = freezes.version + 1, updated_at = excluded.updated_at;

-- name: delete
-- Remove one.
delete from freezes where tenant_id = %(tenant)s and name = %(name)s;

-- name: named_by
-- A rollout under way that names it.
select rollout_id, extension
from rollouts
where tenant_id = %(tenant)s and state in ('Pending','Running','Paused','AwaitingApproval')
  and strategy -> 'windows' ? %(name)s
limit 1;

-- name: look_again
-- Have the rollouts under way looked at: what holds them may have changed.
update rollouts
set plan_after = %(now)s
where tenant_id = %(tenant)s and state in ('Pending','Running','AwaitingApproval');

-- name: override
-- Nothing holds this rollout until then.
update rollouts
set freeze_override_until = %(until)s, version = version + 1, plan_after = %(now)s
where tenant_id = %(tenant)s and rollout_id = %(rollout)s;
