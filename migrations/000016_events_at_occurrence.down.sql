drop function if exists tenet_events_append(uuid[], integer[], uuid[], bytea[], text[], text[], timestamptz[], boolean[],
    text[], text[], interval);
alter table decisions drop column if exists evaluated_at;
alter table events drop column if exists at_occurrence;
