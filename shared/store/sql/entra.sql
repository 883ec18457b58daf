-- name: has_database
-- Whether there is a database of this name.
select exists (select from pg_database where datname = %(database)s);

-- name: has_login
-- Whether there is a login of this name.
select exists (select from pg_roles where rolname = %(login)s);

-- name: create_login
-- Make a login for an identity of the directory, who is no administrator and needs no second factor
-- (Azure Database for PostgreSQL, "Manage Microsoft Entra roles").
select pgaadauth_create_principal_with_oid(%(login)s, %(object_id)s, 'service', false, false);
