-- Whether the rules read the time at which an event occurred as `now`, and not the time at which it is decided.
alter table events add column if not exists at_occurrence boolean not null default false;
-- What the rules read as `now`; not known of decisions that were made before it was recorded.
alter table decisions add column if not exists evaluated_at timestamptz;

-- As the one of the same name with an array less, which stays: nodes of an earlier version call it.
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
