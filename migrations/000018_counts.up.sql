-- Counts of decisions: rows that are only appended, and merged into hours and days once a minute. No row is ever shared by
-- those who count.
create table if not exists count_deltas (
    tenant_id uuid not null,
    -- UUIDv7, made by whoever counts before it writes.
    id uuid not null,
    -- The hour that is counted, of UTC.
    hour timestamptz not null,
    -- The nil UUID for whole decisions.
    rule_id uuid not null,
    revision bigint not null,
    -- `event` or `evaluate`.
    source text not null,
    -- Empty for none.
    project text not null,
    event_type text not null,
    -- Decisions made; of a rule none: which rules a revision had is known.
    decisions bigint not null default 0,
    -- Of these, those whose callers named rules or tags.
    partial bigint not null default 0,
    -- Decisions in which a rule matched, or this one.
    matched bigint not null default 0,
    -- Errors of rules.
    errors bigint not null default 0,
    -- Of these, those for want of a fact.
    missing bigint not null default 0,
    -- Of a rule: decisions whose callers named it.
    selected bigint not null default 0,
    -- Events that were decided or given up, once each.
    events bigint not null default 0,
    -- Events that were sent again.
    duplicates bigint not null default 0,
    -- Events given up, once each.
    dead_letters bigint not null default 0,
    -- Time, in microseconds.
    micros bigint not null default 0,
    -- Units of cost.
    cost bigint not null default 0,
    -- When it last matched, in seconds of the epoch; 0 for never.
    last_matched bigint not null default 0,
    constraint count_deltas_pkey primary key (tenant_id, id)
) partition by range (id);

-- Sums of hours, and of days: whoever merges adds to both.
create table if not exists count_hours (
    tenant_id uuid not null references tenants (id) on delete cascade,
    at timestamptz not null,
    rule_id uuid not null,
    revision bigint not null,
    source text not null,
    project text not null,
    event_type text not null,
    decisions bigint not null default 0,
    partial bigint not null default 0,
    matched bigint not null default 0,
    errors bigint not null default 0,
    missing bigint not null default 0,
    selected bigint not null default 0,
    events bigint not null default 0,
    duplicates bigint not null default 0,
    dead_letters bigint not null default 0,
    micros bigint not null default 0,
    cost bigint not null default 0,
    last_matched bigint not null default 0,
    constraint count_hours_pkey primary key (tenant_id, at, rule_id, revision, source, project, event_type)
) with (fillfactor = 80);

create table if not exists count_days (
    tenant_id uuid not null references tenants (id) on delete cascade,
    at timestamptz not null,
    rule_id uuid not null,
    revision bigint not null,
    source text not null,
    project text not null,
    event_type text not null,
    decisions bigint not null default 0,
    partial bigint not null default 0,
    matched bigint not null default 0,
    errors bigint not null default 0,
    missing bigint not null default 0,
    selected bigint not null default 0,
    events bigint not null default 0,
    duplicates bigint not null default 0,
    dead_letters bigint not null default 0,
    micros bigint not null default 0,
    cost bigint not null default 0,
    last_matched bigint not null default 0,
    constraint count_days_pkey primary key (tenant_id, at, rule_id, revision, source, project, event_type)
) with (fillfactor = 80);

-- Whose counts are to be merged, and since when. Ids only; it outlives the tenant: it says that there is something to delete.
create table if not exists count_queues (
    tenant_id uuid not null,
    since timestamptz not null,
    constraint count_queues_pkey primary key (tenant_id)
);

do $$
declare
    tenant_table text;
begin
    foreach tenant_table in array array['count_deltas', 'count_hours', 'count_days'] loop
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
create or replace trigger count_queues_truncate before truncate on count_queues
    for each statement execute function tenet_refuse_truncate();

-- Whether nobody else merges the counts of a tenant, for the rest of the transaction.
create or replace function tenet_try_merging(tenant uuid) returns boolean language sql as $$
    select pg_try_advisory_xact_lock(hashtextextended('tenet-merging:' || tenant, 0))
$$;

-- Whether nobody is counting for a tenant: all who do share `tenet_share_settling`.
create or replace function tenet_try_stop_settling(tenant uuid) returns boolean language sql as $$
    select pg_try_advisory_xact_lock(hashtextextended('tenet-settling:' || tenant, 0))
$$;

-- As before, for `count_deltas` as well.
create or replace function tenet_make_event_partition(days_ahead integer) returns text
language plpgsql security definer set lock_timeout = '200ms' set timezone = 'UTC' as $$
declare
    missing record;
begin
    select p.parent, format('%s_%s', p.parent, to_char(p.begins, 'YYYYMMDD')) as name, p.begins, p.ends into missing
    from (
        select parent, d as begins, d + interval '1 day' as ends
        from unnest(array['events', 'decisions', 'count_deltas']) as parent,
            generate_series(date_trunc('day', now()) - interval '1 day',
                date_trunc('day', now()) + make_interval(days => days_ahead), interval '1 day') as d
        union all
        select 'event_keys', w, w + interval '1 week'
        from generate_series(date_trunc('week', now()) - interval '1 week',
            date_trunc('week', now() + make_interval(days => days_ahead)), interval '1 week') as w
    ) as p
    where to_regclass(format('%s_%s', p.parent, to_char(p.begins, 'YYYYMMDD'))) is null
    order by p.begins, p.parent limit 1;
    if not found or not pg_try_advisory_xact_lock(hashtextextended('tenet-partitions', 0)) then
        return null;
    end if;
    execute format('create table %I (like %I including all)', missing.name, missing.parent);
    if missing.parent = 'event_keys' then
        execute format('alter table event_keys attach partition %I for values from (%L) to (%L)',
            missing.name, missing.begins, missing.ends);
    else
        execute format('alter table %I attach partition %I for values from (%L) to (%L)', missing.parent, missing.name,
            tenet_event_floor(missing.begins), tenet_event_floor(missing.ends));
    end if;
    return missing.name;
end
$$;

-- As before. Of `count_deltas` days go that are over for two days and empty.
create or replace function tenet_drop_event_partition(events_before timestamptz, keys_before timestamptz) returns text
language plpgsql security definer set lock_timeout = '200ms' set timezone = 'UTC' as $$
declare
    old record;
    is_used boolean;
begin
    for old in
        select p.relname as parent, c.relname as name
        from pg_inherits i
        join pg_class c on c.oid = i.inhrelid
        join pg_class p on p.oid = i.inhparent
        where p.relnamespace = current_schema()::regnamespace
            and p.relname in ('events', 'decisions', 'event_keys', 'count_deltas') and c.relname ~ '_\d{8}$'
            and case p.relname
                when 'event_keys' then to_date(right(c.relname, 8), 'YYYYMMDD') + 7 <= keys_before::date
                when 'count_deltas' then to_date(right(c.relname, 8), 'YYYYMMDD') + 2 < now()::date
                else to_date(right(c.relname, 8), 'YYYYMMDD') + 1 <= events_before::date end
        order by right(c.relname, 8), p.relname
    loop
        -- What is not merged yet stays, however old. A partition by itself is under no policy: its owner sees all of it.
        if old.parent = 'count_deltas' then
            execute format('select exists (select from %I)', old.name) into is_used;
            continue when is_used;
        end if;
        if not pg_try_advisory_xact_lock(hashtextextended('tenet-partitions', 0)) then
            return null;
        end if;
        execute format('alter table %I detach partition %I', old.parent, old.name);
        if old.parent = 'count_deltas' then
            -- Nobody writes to it any more.
            execute format('select exists (select from %I)', old.name) into is_used;
            if is_used then
                raise exception 'counts were written to % while it was dropped', old.name;
            end if;
        end if;
        execute format('drop table %I', old.name);
        return old.name;
    end loop;
    return null;
end
$$;

do $$
begin
    -- What a definer's function names is looked up here and nowhere else.
    execute format('alter function tenet_make_event_partition(integer) set search_path to %I, pg_temp', current_schema());
    execute format('alter function tenet_drop_event_partition(timestamptz, timestamptz) set search_path to %I, pg_temp',
        current_schema());
end
$$;

do $$
declare
    made text;
begin
    loop
        made := tenet_make_event_partition(7);
        exit when made is null;
    end loop;
end
$$;
