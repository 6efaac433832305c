-- Workers that decide a tenant's events at once; as many as the service uses otherwise if none are set.
alter table tenants add column if not exists workers smallint;
alter table tenants drop constraint if exists tenants_workers_range;
alter table tenants add constraint tenants_workers_range check (workers between 1 and 100);
