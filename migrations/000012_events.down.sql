drop function if exists tenet_drop_event_partition(timestamptz, timestamptz);
drop function if exists tenet_make_event_partition(integer);
drop function if exists tenet_events_append(uuid[], integer[], uuid[], bytea[], text[], text[], timestamptz[], boolean[],
    text[], text[], interval);
drop function if exists tenet_stop_settling(uuid);
drop function if exists tenet_share_settling(uuid);
drop function if exists tenet_lock_events(uuid);
drop table if exists event_queues, event_day_counts, dead_letters, event_retries, event_keys, decisions, events;
drop function if exists tenet_event_time(uuid);
drop function if exists tenet_event_floor(timestamptz);
