-- What a tenant may use that differs from what its tier may: a number for each quota that does.
alter table tenants add column if not exists quotas jsonb not null default '{}';
alter table tenants drop constraint if exists tenants_quotas_object;
alter table tenants add constraint tenants_quotas_object check (jsonb_typeof(quotas) = 'object');
