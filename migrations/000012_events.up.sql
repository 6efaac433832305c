-- Events: facts that are decided later. An append-only log, read by position: no row of it is ever updated.

-- The lowest id (UUIDv7) of a moment: partitions and searches by time are bounded by it.
create or replace function tenet_event_floor(moment timestamptz) returns uuid language sql immutable strict parallel safe as $$
    select (lpad(to_hex(floor(extract(epoch from moment) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$;

-- The moment that an id was made at.
create or replace function tenet_event_time(id uuid) returns timestamptz language sql immutable strict parallel safe as $$
    select to_timestamp(('x' || left(replace(id::text, '-', ''), 12))::bit(48)::bigint / 1000.0)
$$;

create table if not exists events (
    tenant_id uuid not null,
    -- UUIDv7, made under the tenant's lock: order of commit, cursor and time in one.
    id uuid not null,
    type text,
    project text,
    occurred_at timestamptz,
    -- Whether the rules read the time at which it occurred as `now`, and not the time at which it is decided.
    at_occurrence boolean not null default false,
    ordering_key text,
    -- The first 16 bytes of the idempotency key's SHA-256.
    key uuid,
    -- As text, not as JSONB: read as it was sent.
    facts json not null,
    constraint events_pkey primary key (tenant_id, id)
) partition by range (id);

create table if not exists decisions (
    tenant_id uuid not null,
    -- The event's.
    id uuid not null,
    event_type text,
    revision bigint not null,
    schema_version integer not null,
    matched uuid[] not null default '{}',
    errors jsonb not null default '[]',
    cost bigint not null default 0,
    -- What the rules read as `now`.
    evaluated_at timestamptz not null,
    decided_at timestamptz not null default now(),
    constraint decisions_pkey primary key (tenant_id, id)
) partition by range (id);

-- Idempotency keys, apart from the events: a unique index of a partitioned table cannot deduplicate across partitions.
create table if not exists event_keys (
    tenant_id uuid not null,
    key uuid not null,
    at timestamptz not null,
    -- SHA-256 of the canonical body: the same key with another body is a conflict.
    digest bytea not null,
    event_id uuid not null,
    constraint event_keys_pkey primary key (tenant_id, key, at)
) partition by range (at);

create table if not exists event_retries (
    tenant_id uuid not null references tenants (id) on delete cascade,
    event_id uuid not null,
    attempt smallint not null,
    not_before timestamptz not null,
    reason text not null,
    detail text,
    ordering_key text,
    constraint event_retries_pkey primary key (tenant_id, event_id)
);
create index if not exists event_retries_due on event_retries (tenant_id, not_before);

create table if not exists dead_letters (
    tenant_id uuid not null references tenants (id) on delete cascade,
    event_id uuid not null,
    reason text not null,
    detail jsonb not null default '{}',
    event_type text,
    attempts smallint not null,
    first_failed_at timestamptz not null,
    last_failed_at timestamptz not null,
    revision bigint,
    redrives smallint not null default 0,
    status text not null default 'open',
    constraint dead_letters_pkey primary key (tenant_id, event_id),
    constraint dead_letters_status_known check (status in ('open', 'redriven', 'discarded'))
);
create index if not exists dead_letters_status on dead_letters (tenant_id, status, event_id);

-- Days that are over, counted once.
create table if not exists event_day_counts (
    tenant_id uuid not null references tenants (id) on delete cascade,
    day date not null,
    received bigint not null,
    -- Whether the day is over. Until then only deleted events are counted here.
    is_over boolean not null default false,
    constraint event_day_counts_pkey primary key (tenant_id, day)
);

-- Where each tenant's queue is, and which node consumes it. Ids and positions only. No index on a column that changes,
-- so that updates stay within their page.
create table if not exists event_queues (
    -- It outlives the tenant: it says that there are events to be deleted.
    tenant_id uuid not null,
    -- Since when there may be something to decide.
    pending_since timestamptz,
    -- Everything up to here is decided, waits to be tried again, or is dead.
    position uuid not null,
    owner uuid,
    owner_until timestamptz,
    -- Counts owners: whoever comes with an older one is no owner any more.
    token bigint not null default 0,
    crashes smallint not null default 0,
    pending bigint not null default 0,
    paused boolean not null default false,
    constraint event_queues_pkey primary key (tenant_id)
) with (fillfactor = 50);

do $$
declare
    tenant_table text;
begin
    foreach tenant_table in array array['events', 'decisions', 'event_keys', 'event_retries', 'dead_letters',
        'event_day_counts'] loop
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
create or replace trigger event_queues_truncate before truncate on event_queues
    for each statement execute function tenet_refuse_truncate();

-- The lock of a tenant's log, for the rest of the transaction. Ids are made under it, so that they commit in their order.
create or replace function tenet_lock_events(tenant uuid) returns void language sql as $$
    select pg_advisory_xact_lock(hashtextextended('tenet-events:' || tenant, 0))
$$;

-- Shared by those who settle events of a tenant, and taken alone by whoever deletes one of them.
create or replace function tenet_share_settling(tenant uuid) returns void language sql as $$
    select pg_advisory_xact_lock_shared(hashtextextended('tenet-settling:' || tenant, 0))
$$;
create or replace function tenet_stop_settling(tenant uuid) returns void language sql as $$
    select pg_advisory_xact_lock(hashtextextended('tenet-settling:' || tenant, 0))
$$;

-- Appends events of several tenants in one statement, which commits by itself: no lock ever waits for a client.
-- `tenants` is in order, with `counts` events each, in the order of the other arrays. Answers for each event its id
-- and what became of it: accepted, duplicate, conflict (same key, other body), or no_tenant.
create or replace function tenet_events_append(
    tenants uuid[], counts integer[], keys uuid[], digests bytea[], types text[], projects text[],
    occurred timestamptz[], at_occurrences boolean[], ordering_keys text[], facts text[], key_window interval
) returns table (id uuid, status text)
language plpgsql security invoker set search_path from current as $$
declare
    tenant uuid;
    first integer := 1;
    final integer;
    since timestamptz := now() - key_window;
    clock_ms bigint;
    last_id uuid;
    queue_position uuid;
    is_pending boolean;
    last_hex text;
    base_ms bigint;
    base_count bigint;
    known_keys uuid[];
    known_digests bytea[];
    known_ids uuid[];
    new_ids uuid[];
    new_places integer[];
    answer_ids uuid[];
    answer_statuses text[];
begin
    for t in 1 .. cardinality(tenants) loop
        tenant := tenants[t];
        final := first + counts[t] - 1;
        perform set_config('tenet.tenant_id', tenant::text, true);
        perform tenet_lock_events(tenant);
        if not exists (select from tenants s where s.id = tenant) then
            return query select null::uuid, 'no_tenant' from generate_series(first, final);
            first := final + 1;
            continue;
        end if;
        -- The clock may have stepped back: ids go on after the last one all the same.
        clock_ms := floor(extract(epoch from clock_timestamp()) * 1000)::bigint;
        base_ms := clock_ms;
        base_count := 0;
        -- Planned with the bounds as values, these two touch the partitions that they name and no others.
        execute 'select id from events where tenant_id = $1 and id >= $2 order by id desc limit 1'
            into last_id using tenant, tenet_event_floor(to_timestamp(clock_ms / 1000.0));
        -- The last event may be deleted: whoever reads by position has read beyond it all the same.
        select q.position, q.pending_since is not null into queue_position, is_pending
        from event_queues q where q.tenant_id = tenant;
        if queue_position >= tenet_event_floor(to_timestamp(clock_ms / 1000.0)) then
            last_id := greatest(last_id, queue_position);
        end if;
        if last_id is not null then
            last_hex := replace(last_id::text, '-', '');
            base_ms := ('x' || left(last_hex, 12))::bit(48)::bigint;
            base_count := 1 + (('x' || substr(last_hex, 14, 3))::bit(12)::bigint << 14)
                + ((('x' || substr(last_hex, 17, 1))::bit(4)::bigint & 3) << 12)
                + ('x' || substr(last_hex, 18, 3))::bit(12)::bigint;
            if base_count + counts[t] >= 1 << 26 then
                base_ms := base_ms + 1;
                base_count := 0;
            end if;
        end if;
        execute 'select array_agg(key), array_agg(digest), array_agg(event_id) from event_keys
                where tenant_id = $1 and key = any ($2) and at >= $3'
            into known_keys, known_digests, known_ids using tenant, array_remove(keys[first:final], null), since;
        with given as materialized (
            select g.key, g.digest, g.place::integer,
                row_number() over (partition by g.key order by g.place) as nth
            from unnest(keys[first:final], digests[first:final]) with ordinality as g (key, digest, place)
        ), known as materialized (
            select * from unnest(known_keys, known_digests, known_ids) as k (key, digest, event_id)
        ), fresh as materialized (
            select g.place, g.key, g.digest, (row_number() over (order by g.place))::bigint - 1 + base_count as count,
                gen_random_uuid()::text as random
            from given g left join known k on k.key = g.key
            where g.key is null or (k.key is null and g.nth = 1)
        ), made as materialized (
            select f.place, f.key, f.digest, (lpad(to_hex(base_ms), 12, '0')
                || '7' || lpad(to_hex(f.count >> 14), 3, '0')
                || to_hex(8 | ((f.count >> 12) & 3)) || lpad(to_hex(f.count & 4095), 3, '0')
                || right(f.random, 12))::uuid as id
            from fresh f
        ), answered as (
            select g.place, coalesce(own.id, k.event_id, first_of_key.id) as id,
                case when own.id is not null then 'accepted'
                    when coalesce(k.digest, first_of_key.digest) = g.digest then 'duplicate'
                    else 'conflict' end as status
            from given g
            left join made own on own.place = g.place
            left join known k on k.key = g.key
            left join made first_of_key on first_of_key.key = g.key
        )
        select array_agg(a.id order by a.place), array_agg(a.status order by a.place),
            (select array_agg(m.id order by m.place) from made m),
            (select array_agg(m.place order by m.place) from made m)
        into answer_ids, answer_statuses, new_ids, new_places from answered a;
        if new_ids is not null then
            insert into event_keys (tenant_id, key, at, digest, event_id)
            select tenant, keys[first - 1 + p.place], now(), digests[first - 1 + p.place], p.id
            from unnest(new_ids, new_places) as p (id, place) where keys[first - 1 + p.place] is not null;
            insert into events (tenant_id, id, type, project, occurred_at, at_occurrence, ordering_key, key, facts)
            select tenant, p.id, g.type, g.project, g.occurred_at, g.at_occurrence, g.ordering_key, g.key, g.facts::json
            from unnest(types[first:final], projects[first:final], occurred[first:final], at_occurrences[first:final],
                ordering_keys[first:final], keys[first:final], facts[first:final])
                with ordinality as g (type, project, occurred_at, at_occurrence, ordering_key, key, facts, place)
            join unnest(new_ids, new_places) as p (id, place) on p.place = g.place
            order by g.place;
            if is_pending is not true then
                insert into event_queues as q (tenant_id, pending_since, position)
                values (tenant, now(), tenet_event_floor(to_timestamp(base_ms / 1000.0)))
                on conflict (tenant_id) do update set pending_since = excluded.pending_since;
            end if;
        end if;
        return query select a.id, a.status from unnest(answer_ids, answer_statuses) as a (id, status);
        first := final + 1;
    end loop;
end
$$;

-- Makes the first partition that is missing from yesterday to `days_ahead` days from now, and answers its name; nothing
-- if all are there. As a table of its own that is attached then: created as a partition it would lock its parent.
create or replace function tenet_make_event_partition(days_ahead integer) returns text
language plpgsql security definer set lock_timeout = '200ms' set timezone = 'UTC' as $$
declare
    missing record;
begin
    select p.parent, format('%s_%s', p.parent, to_char(p.begins, 'YYYYMMDD')) as name, p.begins, p.ends into missing
    from (
        select parent, d as begins, d + interval '1 day' as ends
        from unnest(array['events', 'decisions']) as parent,
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

-- Drops the oldest partition whose days all lie before, and answers its name; nothing if there is none. Never in one
-- transaction with making one: what cannot be dropped must not keep others from being made.
create or replace function tenet_drop_event_partition(events_before timestamptz, keys_before timestamptz) returns text
language plpgsql security definer set lock_timeout = '200ms' set timezone = 'UTC' as $$
declare
    old record;
begin
    select p.relname as parent, c.relname as name into old
    from pg_inherits i
    join pg_class c on c.oid = i.inhrelid
    join pg_class p on p.oid = i.inhparent
    where p.relnamespace = current_schema()::regnamespace and p.relname in ('events', 'decisions', 'event_keys')
        and c.relname ~ '_\d{8}$'
        and case p.relname
            when 'event_keys' then to_date(right(c.relname, 8), 'YYYYMMDD') + 7 <= keys_before::date
            else to_date(right(c.relname, 8), 'YYYYMMDD') + 1 <= events_before::date end
    order by right(c.relname, 8), p.relname limit 1;
    if not found or not pg_try_advisory_xact_lock(hashtextextended('tenet-partitions', 0)) then
        return null;
    end if;
    execute format('alter table %I detach partition %I', old.parent, old.name);
    execute format('drop table %I', old.name);
    return old.name;
end
$$;

do $$
declare
    made text;
begin
    -- What a definer's function names is looked up here and nowhere else.
    execute format('alter function tenet_make_event_partition(integer) set search_path to %I, pg_temp', current_schema());
    execute format('alter function tenet_drop_event_partition(timestamptz, timestamptz) set search_path to %I, pg_temp',
        current_schema());
    loop
        made := tenet_make_event_partition(7);
        exit when made is null;
    end loop;
end
$$;
revoke execute on function tenet_make_event_partition(integer) from public;
revoke execute on function tenet_drop_event_partition(timestamptz, timestamptz) from public;
