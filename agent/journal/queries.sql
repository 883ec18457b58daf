-- name: schema
-- One file per agent. Values are JSON text; the control plane's tables are not mirrored here.
create table if not exists state (
    name text primary key,
    value text not null
) strict, without rowid;
create table if not exists events (
    sequence integer primary key,
    extension text not null,
    phase text not null,
    has_drift integer not null,
    bytes integer not null,
    event text not null
) strict;
create index if not exists events_by_extension on events (extension, sequence);

-- name: get_state
-- One remembered value.
select value from state where name = :name;

-- name: put_state
-- Remember a value, replacing the one before.
insert into state (name, value) values (:name, :value)
on conflict (name) do update set value = excluded.value;

-- name: add_event
-- Append an event under the next sequence.
insert into events (sequence, extension, phase, has_drift, bytes, event)
values (:sequence, :extension, :phase, :has_drift, :bytes, :event);

-- name: pending
-- The oldest events that wait, in order.
select sequence, event from events order by sequence limit :count;

-- name: acknowledge
-- What the control plane has stored, or refused for good, is not kept.
delete from events where sequence <= :sequence;

-- name: forget_events
-- Another replica led meanwhile: what waits here may be older than what it has reported.
delete from events;

-- name: drop_event
-- One event that the control plane will never take.
delete from events where sequence = :sequence;

-- name: totals
-- How much waits.
select count(*) as events, coalesce(sum(bytes), 0) as bytes from events;

-- name: superseded
-- Events that a newer one of the same extension outdates, those that say least first. The newest
-- event of an extension, and the newest that carries its drift, are never among them.
select sequence, bytes from events as old
where exists (
    select 1 from events as newer
    where newer.extension = old.extension and newer.sequence > old.sequence
)
and (
    old.has_drift = 0
    or exists (
        select 1 from events as newer
        where newer.extension = old.extension and newer.sequence > old.sequence
        and newer.has_drift = 1
    )
)
order by case old.phase when 'Applying' then 0 else 1 end, old.sequence;
