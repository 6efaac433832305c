create table if not exists schemas (
    tenant_id uuid not null,
    id uuid not null default gen_random_uuid(),
    version integer not null,
    definition jsonb not null,
    active boolean not null default false,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint schemas_pkey primary key (tenant_id, id),
    constraint schemas_version_key unique (tenant_id, version),
    constraint schemas_tenant_fkey foreign key (tenant_id) references tenants (id) on delete cascade,
    constraint schemas_version_positive check (version > 0),
    constraint schemas_definition_object check (jsonb_typeof(definition) = 'object')
);
-- One version at most is in use; found by it, too.
create unique index if not exists schemas_active on schemas (tenant_id) where active;
-- For containment: `definition @> ...`. Of single keys, most are in every definition.
create index if not exists schemas_definition on schemas using gin (definition jsonb_path_ops);

create or replace trigger schemas_touch before update on schemas
    for each row execute function tenet_touch();
-- One trigger for each event: transition tables allow no list of them.
create or replace trigger schemas_count_insert after insert on schemas
    referencing new table as new_rows for each statement execute function tenet_count_rows();
create or replace trigger schemas_count_update after update on schemas
    referencing old table as old_rows new table as new_rows for each statement execute function tenet_count_rows();
create or replace trigger schemas_count_delete after delete on schemas
    referencing old table as old_rows for each statement execute function tenet_count_rows();
create or replace trigger schemas_truncate before truncate on schemas
    for each statement execute function tenet_refuse_truncate();

alter table schemas enable row level security;
alter table schemas force row level security;
drop policy if exists schemas_tenant on schemas;
create policy schemas_tenant on schemas
    using (tenant_id = nullif(current_setting('tenet.tenant_id', true), '')::uuid)
    with check (tenant_id = nullif(current_setting('tenet.tenant_id', true), '')::uuid);
