alter table tenants drop constraint if exists tenants_workers_range;
alter table tenants drop column if exists workers;
