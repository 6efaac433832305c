drop table if exists count_deltas, count_hours, count_days, count_queues;
drop function if exists tenet_try_merging(uuid);
drop function if exists tenet_try_stop_settling(uuid);
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
begin
    -- What a definer's function names is looked up here and nowhere else.
    execute format('alter function tenet_make_event_partition(integer) set search_path to %I, pg_temp', current_schema());
    execute format('alter function tenet_drop_event_partition(timestamptz, timestamptz) set search_path to %I, pg_temp',
        current_schema());
end
$$;
