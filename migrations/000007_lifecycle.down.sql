drop index if exists tenants_pinned;
alter table tenants drop constraint if exists tenants_idle_stop_positive;
alter table tenants drop column if exists idle_stop_seconds;
alter table tenants drop column if exists pinned;
