-- What a revision held: each rule and derived field as an interval of revisions, and a note of each revision. Filled by
-- triggers beside those that count revisions, so that what is changed by hand has a history too.
create table if not exists revision_notes (
    tenant_id uuid not null references tenants (id) on delete cascade,
    revision bigint not null,
    at timestamptz not null,
    actor text not null,
    -- The version of the schema in use; none while there is no schema.
    schema_version integer,
    -- The tenant's settings that decisions depend on.
    tier text not null,
    quotas jsonb not null,
    strict_facts boolean not null,
    constraint revision_notes_pkey primary key (tenant_id, revision)
);
create index if not exists revision_notes_at on revision_notes (tenant_id, at);

create table if not exists rule_history (
    tenant_id uuid not null references tenants (id) on delete cascade,
    rule_id uuid not null,
    from_revision bigint not null,
    -- The revision that ended it; none while it is so.
    to_revision bigint,
    name text not null,
    expression text not null,
    description text,
    tags text[] not null,
    active boolean not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    constraint rule_history_pkey primary key (tenant_id, rule_id, from_revision),
    constraint rule_history_interval check (to_revision > from_revision)
);
create unique index if not exists rule_history_now on rule_history (tenant_id, rule_id) where to_revision is null;
create index if not exists rule_history_past on rule_history (tenant_id, to_revision) where to_revision is not null;

create table if not exists derived_field_history (
    tenant_id uuid not null references tenants (id) on delete cascade,
    derived_field_id uuid not null,
    from_revision bigint not null,
    to_revision bigint,
    name text not null,
    expression text not null,
    description text,
    value_type text not null,
    dependencies jsonb not null,
    active boolean not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    constraint derived_field_history_pkey primary key (tenant_id, derived_field_id, from_revision),
    constraint derived_field_history_interval check (to_revision > from_revision)
);
create unique index if not exists derived_field_history_now on derived_field_history (tenant_id, derived_field_id)
    where to_revision is null;
create index if not exists derived_field_history_past on derived_field_history (tenant_id, to_revision)
    where to_revision is not null;

do $$
declare
    tenant_table text;
begin
    foreach tenant_table in array array['revision_notes', 'rule_history', 'derived_field_history'] loop
        execute format('alter table %I enable row level security', tenant_table);
        execute format('alter table %I force row level security', tenant_table);
        execute format('drop policy if exists %I on %I', tenant_table || '_tenant', tenant_table);
        execute format('create policy %I on %I
            using (tenant_id = nullif(current_setting(''tenet.tenant_id'', true), '''')::uuid)
            with check (tenant_id = nullif(current_setting(''tenet.tenant_id'', true), '''')::uuid)',
            tenant_table || '_tenant', tenant_table);
        execute format('create or replace trigger %I before truncate on %I
            for each statement execute function tenet_refuse_truncate()', tenant_table || '_truncate', tenant_table);
    end loop;
end
$$;

-- Notes the revision of a tenant. Whoever writes a row of `tenants` need not have said whose rows may be seen.
create or replace function tenet_note_revision() returns trigger language plpgsql set search_path from current as $$
declare
    seen text := current_setting('tenet.tenant_id', true);
begin
    perform set_config('tenet.tenant_id', new.id::text, true);
    insert into revision_notes (tenant_id, revision, at, actor, schema_version, tier, quotas, strict_facts)
    values (new.id, new.revision, now(), 'database:' || session_user,
        (select s.version from schemas s where s.tenant_id = new.id and s.active), new.tier, new.quotas, new.strict_facts)
    on conflict (tenant_id, revision) do update set schema_version = excluded.schema_version, tier = excluded.tier,
        quotas = excluded.quotas, strict_facts = excluded.strict_facts;
    perform set_config('tenet.tenant_id', coalesce(seen, ''), true);
    return null;
end
$$;

-- The same for a statement that changed schemas after its transaction was counted.
create or replace function tenet_note_schemas() returns trigger language plpgsql set search_path from current as $$
declare
    touched uuid[];
begin
    if tg_op = 'INSERT' then
        touched := array(select distinct tenant_id from new_rows);
    elsif tg_op = 'DELETE' then
        touched := array(select distinct tenant_id from old_rows);
    else
        touched := array(select tenant_id from old_rows union select tenant_id from new_rows);
    end if;
    update revision_notes n
    set schema_version = (select s.version from schemas s where s.tenant_id = n.tenant_id and s.active)
    from tenants t where t.id = any (touched) and n.tenant_id = t.id and n.revision = t.revision;
    return null;
end
$$;

-- Of a row that a transaction changes several times the last state alone is kept: what began with the revision that is
-- being made never was. Rows are named by lists: of transition tables the planner knows no sizes.
create or replace function tenet_keep_rules() returns trigger language plpgsql set search_path from current as $$
declare
    of record;
begin
    if tg_op <> 'INSERT' then
        for of in select t.id as tenant, t.revision, array_agg(o.id) as rules
            from old_rows o join tenants t on t.id = o.tenant_id group by t.id
        loop
            delete from rule_history h where h.tenant_id = of.tenant and h.rule_id = any (of.rules)
                and h.to_revision is null and h.from_revision = of.revision;
            update rule_history h set to_revision = of.revision
            where h.tenant_id = of.tenant and h.rule_id = any (of.rules) and h.to_revision is null;
        end loop;
    end if;
    if tg_op <> 'DELETE' then
        insert into rule_history (tenant_id, rule_id, from_revision, name, expression, description, tags, active,
            created_at, updated_at)
        select n.tenant_id, n.id, t.revision, n.name, n.expression, n.description, n.tags, n.active, n.created_at,
            n.updated_at
        from new_rows n join tenants t on t.id = n.tenant_id;
    end if;
    return null;
end
$$;

create or replace function tenet_keep_derived_fields() returns trigger language plpgsql set search_path from current as $$
declare
    of record;
begin
    if tg_op <> 'INSERT' then
        for of in select t.id as tenant, t.revision, array_agg(o.id) as fields
            from old_rows o join tenants t on t.id = o.tenant_id group by t.id
        loop
            delete from derived_field_history h where h.tenant_id = of.tenant
                and h.derived_field_id = any (of.fields) and h.to_revision is null and h.from_revision = of.revision;
            update derived_field_history h set to_revision = of.revision
            where h.tenant_id = of.tenant and h.derived_field_id = any (of.fields) and h.to_revision is null;
        end loop;
    end if;
    if tg_op <> 'DELETE' then
        insert into derived_field_history (tenant_id, derived_field_id, from_revision, name, expression, description,
            value_type, dependencies, active, created_at, updated_at)
        select n.tenant_id, n.id, t.revision, n.name, n.expression, n.description, n.value_type, n.dependencies,
            n.active, n.created_at, n.updated_at
        from new_rows n join tenants t on t.id = n.tenant_id;
    end if;
    return null;
end
$$;

-- Writers of the service lock the tenant's row before anything else, and wait here until all of this is done.
lock table tenants in exclusive mode;
create or replace trigger tenants_note after insert or update on tenants
    for each row execute function tenet_note_revision();

-- Triggers of one event run in the order of their names: these after those that count.
create or replace trigger schemas_history_insert after insert on schemas
    referencing new table as new_rows for each statement execute function tenet_note_schemas();
create or replace trigger schemas_history_update after update on schemas
    referencing old table as old_rows new table as new_rows for each statement execute function tenet_note_schemas();
create or replace trigger schemas_history_delete after delete on schemas
    referencing old table as old_rows for each statement execute function tenet_note_schemas();
create or replace trigger derived_fields_history_insert after insert on derived_fields
    referencing new table as new_rows for each statement execute function tenet_keep_derived_fields();
create or replace trigger derived_fields_history_update after update on derived_fields
    referencing old table as old_rows new table as new_rows for each statement
    execute function tenet_keep_derived_fields();
create or replace trigger derived_fields_history_delete after delete on derived_fields
    referencing old table as old_rows for each statement execute function tenet_keep_derived_fields();
create or replace trigger rules_history_insert after insert on rules
    referencing new table as new_rows for each statement execute function tenet_keep_rules();
create or replace trigger rules_history_update after update on rules
    referencing old table as old_rows new table as new_rows for each statement execute function tenet_keep_rules();
create or replace trigger rules_history_delete after delete on rules
    referencing old table as old_rows for each statement execute function tenet_keep_rules();

-- What is stored begins at the revision of now.
do $$
declare
    tenant record;
begin
    for tenant in select * from tenants loop
        perform set_config('tenet.tenant_id', tenant.id::text, true);
        insert into revision_notes (tenant_id, revision, at, actor, schema_version, tier, quotas, strict_facts)
        select tenant.id, tenant.revision, tenant.updated_at,
            coalesce((select a.actor from audit_log a where a.tenant_id = tenant.id and a.revision = tenant.revision
                order by a.sequence desc limit 1), 'database:' || session_user),
            (select s.version from schemas s where s.tenant_id = tenant.id and s.active), tenant.tier, tenant.quotas,
            tenant.strict_facts
        on conflict do nothing;
        insert into rule_history (tenant_id, rule_id, from_revision, name, expression, description, tags, active,
            created_at, updated_at)
        select r.tenant_id, r.id, tenant.revision, r.name, r.expression, r.description, r.tags, r.active, r.created_at,
            r.updated_at
        from rules r where r.tenant_id = tenant.id and not exists (select from rule_history h
            where h.tenant_id = tenant.id and h.rule_id = r.id and h.to_revision is null);
        insert into derived_field_history (tenant_id, derived_field_id, from_revision, name, expression, description,
            value_type, dependencies, active, created_at, updated_at)
        select d.tenant_id, d.id, tenant.revision, d.name, d.expression, d.description, d.value_type, d.dependencies,
            d.active, d.created_at, d.updated_at
        from derived_fields d where d.tenant_id = tenant.id and not exists (select from derived_field_history h
            where h.tenant_id = tenant.id and h.derived_field_id = d.id and h.to_revision is null);
    end loop;
    perform set_config('tenet.tenant_id', '', true);
end
$$;

-- Forgets what revisions held that another one had replaced by `before`, of `tenants_max` tenants beyond `after`, and
-- answers the last of these; nothing if there is none.
create or replace function tenet_forget_history(after uuid, tenants_max integer, before timestamptz) returns uuid
language plpgsql security invoker set search_path from current as $$
declare
    tenant uuid;
    oldest bigint;
begin
    for tenant in select t.id from tenants t where t.id > after order by t.id limit tenants_max loop
        perform set_config('tenet.tenant_id', tenant::text, true);
        -- What was in use then is kept, and with it the newest always.
        select max(n.revision) into oldest from revision_notes n where n.tenant_id = tenant and n.at <= before;
        if oldest is not null then
            delete from rule_history h where h.tenant_id = tenant and h.to_revision <= oldest;
            delete from derived_field_history h where h.tenant_id = tenant and h.to_revision <= oldest;
            delete from revision_notes n where n.tenant_id = tenant and n.revision < oldest;
        end if;
    end loop;
    return tenant;
end
$$;
