create table if not exists rules (
    tenant_id uuid not null,
    id uuid not null default gen_random_uuid(),
    name text not null,
    expression text not null,
    description text,
    tags text[] not null default '{}',
    active boolean not null default true,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint rules_pkey primary key (tenant_id, id),
    -- Deferrable, so that it holds after a statement, not after each of its rows: two rules can swap their names.
    constraint rules_name_key unique (tenant_id, name) deferrable initially immediate,
    constraint rules_tenant_fkey foreign key (tenant_id) references tenants (id) on delete cascade,
    constraint rules_name_length check (char_length(name) between 1 and 255)
);
create index if not exists rules_created on rules (tenant_id, created_at, id);
create index if not exists rules_active on rules (tenant_id, created_at, id) where active;

create or replace trigger rules_touch before update on rules
    for each row execute function tenet_touch();
-- One trigger for each event: transition tables allow no list of them.
create or replace trigger rules_count_insert after insert on rules
    referencing new table as new_rows for each statement execute function tenet_count_rows();
create or replace trigger rules_count_update after update on rules
    referencing old table as old_rows new table as new_rows for each statement execute function tenet_count_rows();
create or replace trigger rules_count_delete after delete on rules
    referencing old table as old_rows for each statement execute function tenet_count_rows();
create or replace trigger rules_truncate before truncate on rules
    for each statement execute function tenet_refuse_truncate();

alter table rules enable row level security;
alter table rules force row level security;
drop policy if exists rules_tenant on rules;
create policy rules_tenant on rules
    using (tenant_id = nullif(current_setting('tenet.tenant_id', true), '')::uuid)
    with check (tenant_id = nullif(current_setting('tenet.tenant_id', true), '')::uuid);
