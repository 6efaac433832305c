-- How a tenant is kept in memory: never let go of, or let go of after a time of its own (the service's if none).
alter table tenants add column if not exists pinned boolean not null default false;
alter table tenants add column if not exists idle_stop_seconds integer;
alter table tenants drop constraint if exists tenants_idle_stop_positive;
alter table tenants add constraint tenants_idle_stop_positive check (idle_stop_seconds between 1 and 31536000);
create index if not exists tenants_pinned on tenants (id) where pinned;
