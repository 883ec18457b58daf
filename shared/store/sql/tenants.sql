-- name: state_of
-- Whether a tenant may use the service.
select state from tenants where tenant_id = %(tenant)s;
