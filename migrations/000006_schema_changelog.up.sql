create table if not exists schema_changelog (
    tenant_id uuid not null,
    id uuid not null default gen_random_uuid(),
    action text not null,
    from_version integer,
    to_version integer not null,
    actor text not null,
    changed_at timestamptz not null default now(),
    rules_recompiled integer not null,
    rules_failed integer not null,
    details jsonb not null default '{}',
    constraint schema_changelog_pkey primary key (tenant_id, id),
    constraint schema_changelog_tenant_fkey foreign key (tenant_id) references tenants (id) on delete cascade,
    -- With the tenant in it: a reference passes by row level security, and must not reach another tenant's row.
    constraint schema_changelog_from_fkey foreign key (tenant_id, from_version)
        references schemas (tenant_id, version) on delete cascade,
    constraint schema_changelog_to_fkey foreign key (tenant_id, to_version)
        references schemas (tenant_id, version) on delete cascade,
    constraint schema_changelog_counts check (rules_recompiled >= 0 and rules_failed >= 0)
);
create index if not exists schema_changelog_changed on schema_changelog (tenant_id, changed_at, id);

create or replace trigger schema_changelog_truncate before truncate on schema_changelog
    for each statement execute function tenet_refuse_truncate();

alter table schema_changelog enable row level security;
alter table schema_changelog force row level security;
drop policy if exists schema_changelog_tenant on schema_changelog;
create policy schema_changelog_tenant on schema_changelog
    using (tenant_id = nullif(current_setting('tenet.tenant_id', true), '')::uuid)
    with check (tenant_id = nullif(current_setting('tenet.tenant_id', true), '')::uuid);
