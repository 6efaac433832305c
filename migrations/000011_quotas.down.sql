alter table tenants drop constraint if exists tenants_quotas_object;
alter table tenants drop column if exists quotas;
