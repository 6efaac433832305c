drop function if exists tenet_decisions_append(uuid[], integer[], uuid[], bigint[], integer[], text[], text[], bigint[],
    timestamptz[], timestamptz[], bigint[], text[], bytea[], text[], text[], text[]);
drop table if exists decision_logs;
alter table tenants drop column if exists decision_log;
alter table decisions drop column if exists selection;
alter table decisions drop column if exists facts_left_out;
alter table decisions drop column if exists facts;
alter table decisions drop column if exists micros;
alter table decisions drop column if exists rule_set_hash;
alter table decisions drop column if exists request_id;
alter table decisions drop column if exists source;
