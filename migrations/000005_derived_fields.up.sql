create table if not exists derived_fields (
    tenant_id uuid not null,
    id uuid not null default gen_random_uuid(),
    name text not null,
    expression text not null,
    description text,
    value_type text not null default 'dyn',
    dependencies jsonb not null default '[]',
    active boolean not null default true,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint derived_fields_pkey primary key (tenant_id, id),
    -- Deferrable for the same reason as the names of rules.
    constraint derived_fields_name_key unique (tenant_id, name) deferrable initially immediate,
    constraint derived_fields_tenant_fkey foreign key (tenant_id) references tenants (id) on delete cascade,
    constraint derived_fields_name_length check (char_length(name) between 1 and 100),
    constraint derived_fields_dependencies_list check (jsonb_typeof(dependencies) = 'array')
);
create index if not exists derived_fields_created on derived_fields (tenant_id, created_at, id);
create index if not exists derived_fields_dependencies on derived_fields using gin (dependencies);

create or replace trigger derived_fields_touch before update on derived_fields
    for each row execute function tenet_touch();
-- One trigger for each event: transition tables allow no list of them.
create or replace trigger derived_fields_count_insert after insert on derived_fields
    referencing new table as new_rows for each statement execute function tenet_count_rows();
create or replace trigger derived_fields_count_update after update on derived_fields
    referencing old table as old_rows new table as new_rows for each statement execute function tenet_count_rows();
create or replace trigger derived_fields_count_delete after delete on derived_fields
    referencing old table as old_rows for each statement execute function tenet_count_rows();
create or replace trigger derived_fields_truncate before truncate on derived_fields
    for each statement execute function tenet_refuse_truncate();

alter table derived_fields enable row level security;
alter table derived_fields force row level security;
drop policy if exists derived_fields_tenant on derived_fields;
create policy derived_fields_tenant on derived_fields
    using (tenant_id = nullif(current_setting('tenet.tenant_id', true), '')::uuid)
    with check (tenant_id = nullif(current_setting('tenet.tenant_id', true), '')::uuid);
