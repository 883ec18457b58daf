-- name: claim
-- Take a key for one request: a new one, one that was forgotten, or one whose holder died.
insert into idempotency_keys (tenant_id, key, route, request_sha)
values (%(tenant)s, %(key)s, %(route)s, %(request_sha)s)
on conflict (tenant_id, key) do update
    set route = excluded.route,
        request_sha = excluded.request_sha,
        status = null,
        response = null,
        created_at = now()
    where idempotency_keys.created_at < now() - make_interval(secs => %(kept_seconds)s)
       or (idempotency_keys.status is null
           and idempotency_keys.request_sha = excluded.request_sha
           and idempotency_keys.created_at < now() - make_interval(secs => %(holder_seconds)s))
returning created_at;

-- name: find
-- What is known of a key.
select request_sha, status, response
from idempotency_keys
where tenant_id = %(tenant)s and key = %(key)s;

-- name: keep
-- Remember a request's answer; only while the claim is still the caller's own.
update idempotency_keys
set status = %(status)s, response = %(response)s
where tenant_id = %(tenant)s and key = %(key)s and created_at = %(claimed_at)s and status is null;

-- name: give_up
-- Free a key whose request changed nothing.
delete from idempotency_keys
where tenant_id = %(tenant)s and key = %(key)s and created_at = %(claimed_at)s and status is null;
