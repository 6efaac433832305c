create table if not exists tenants (
    id uuid primary key default gen_random_uuid(),
    -- Compared byte by byte, so that one index serves equality, prefixes and order.
    name text collate "C" not null,
    tier text not null default 'free',
    status text not null default 'active',
    revision bigint not null default 1,
    -- The transaction that counted last.
    bumped_xid xid8,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint tenants_name_key unique (name),
    constraint tenants_name_length check (char_length(name) between 1 and 255),
    constraint tenants_tier_known check (tier in ('free', 'pro', 'enterprise')),
    constraint tenants_status_known check (status in ('active', 'suspended'))
);

-- Every revision of every tenant, for those who follow. No foreign key: a deletion is one of the rows.
create table if not exists tenant_changes (
    tenant_id uuid not null,
    revision bigint not null,
    xid xid8 not null default pg_current_xact_id(),
    kind text not null,
    changed_at timestamptz not null default now(),
    constraint tenant_changes_pkey primary key (tenant_id, revision),
    constraint tenant_changes_kind_known check (kind in ('created', 'changed', 'deleted'))
);
create index if not exists tenant_changes_xid on tenant_changes (xid);
create index if not exists tenant_changes_changed_at on tenant_changes using brin (changed_at);

-- The only place that counts. A transaction counts once, however often it comes by; the time is compared as well,
-- because after a restore into a younger cluster a transaction can bear the number of an old one.
create or replace function tenet_count_tenant() returns trigger language plpgsql set search_path from current as $$
begin
    if tg_op = 'INSERT' then
        -- A tenant put back by hand goes on where it ended.
        new.revision := 1 + coalesce((select max(c.revision) from tenant_changes c where c.tenant_id = new.id), 0);
    elsif new.id <> old.id then
        raise exception 'the id of a tenant cannot be changed' using errcode = 'feature_not_supported';
    elsif old.bumped_xid = pg_current_xact_id() and old.updated_at = now() then
        new.revision := old.revision;
    else
        new.revision := old.revision + 1;
    end if;
    new.bumped_xid := pg_current_xact_id();
    new.updated_at := now();
    return new;
end
$$;

create or replace function tenet_record_tenant() returns trigger language plpgsql set search_path from current as $$
declare
    change tenant_changes;
begin
    if tg_op = 'DELETE' then
        change.tenant_id := old.id;
        change.revision := old.revision + 1;
        change.kind := 'deleted';
    elsif tg_op = 'INSERT' then
        change.tenant_id := new.id;
        change.revision := new.revision;
        change.kind := 'created';
    elsif new.revision > old.revision then
        change.tenant_id := new.id;
        change.revision := new.revision;
        change.kind := 'changed';
    else
        return null;
    end if;
    insert into tenant_changes (tenant_id, revision, kind) values (change.tenant_id, change.revision, change.kind);
    perform pg_notify('tenet_changes', change.tenant_id || ':' || change.revision);
    return null;
end
$$;

create or replace trigger tenants_count before insert or update on tenants
    for each row execute function tenet_count_tenant();
create or replace trigger tenants_record after insert or update or delete on tenants
    for each row execute function tenet_record_tenant();
create or replace trigger tenants_truncate before truncate on tenants
    for each statement execute function tenet_refuse_truncate();
create or replace trigger tenant_changes_truncate before truncate on tenant_changes
    for each statement execute function tenet_refuse_truncate();

-- For the triggers of a tenant's tables: the tenants of all rows touched are counted, by touching them.
create or replace function tenet_count_rows() returns trigger language plpgsql set search_path from current as $$
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
    update tenants set updated_at = now()
    where id = any (touched) and (bumped_xid is distinct from pg_current_xact_id() or updated_at <> now());
    return null;
end
$$;

-- For whoever restores a backup. Until it is called, nodes may serve what was undone.
create or replace function tenet_begin_epoch() returns uuid language plpgsql set search_path from current as $$
declare
    begun uuid;
begin
    -- Their transaction numbers belong to another cluster.
    delete from tenant_changes;
    update installation set epoch = gen_random_uuid(), epoch_began_at = now() returning epoch into begun;
    return begun;
end
$$;
revoke execute on function tenet_begin_epoch() from public;
