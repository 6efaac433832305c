-- Whether facts that a tenant's schema does not declare are refused where a request does not say.
alter table tenants add column if not exists strict_facts boolean not null default false;
