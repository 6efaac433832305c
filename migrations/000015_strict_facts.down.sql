alter table tenants drop column if exists strict_facts;
