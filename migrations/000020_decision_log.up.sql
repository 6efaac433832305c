-- Evaluations beside events in one log: what was decided, by what, and of evaluations also on which facts.
alter table decisions add column if not exists source text not null default 'event';
alter table decisions add column if not exists request_id text;
alter table decisions add column if not exists rule_set_hash bytea;
alter table decisions add column if not exists micros bigint not null default 0;
-- Of events none: they have theirs. As text, like those.
alter table decisions add column if not exists facts json;
-- Why facts are missing, or some of them.
alter table decisions add column if not exists facts_left_out text;
-- Which rules were asked for, if not all that are active.
alter table decisions add column if not exists selection jsonb;

-- What of a tenant's evaluations is recorded.
alter table tenants add column if not exists decision_log jsonb not null default '{}';

-- Who has recorded evaluations; it outlives the tenant, so that they are deleted.
create table if not exists decision_logs (
    tenant_id uuid not null,
    since timestamptz not null default now(),
    constraint decision_logs_pkey primary key (tenant_id)
);
create or replace trigger decision_logs_truncate before truncate on decision_logs
    for each statement execute function tenet_refuse_truncate();

-- Stores evaluations of several tenants, `counts` of each in the order of the other arrays; answers how many of the
-- entries are stored then: those of tenants that do not exist are not. The same ids again change nothing.
create or replace function tenet_decisions_append(
    tenants uuid[], counts integer[], ids uuid[], revisions bigint[], schema_versions integer[], matched text[],
    errors text[], costs bigint[], evaluated timestamptz[], decided timestamptz[], micros bigint[], request_ids text[],
    hashes bytea[], facts text[], left_out text[], selections text[]
) returns bigint
language plpgsql security invoker set search_path from current as $$
declare
    tenant uuid;
    first integer := 1;
    final integer;
    stored bigint := 0;
begin
    for t in 1 .. cardinality(tenants) loop
        tenant := tenants[t];
        final := first + counts[t] - 1;
        if exists (select from tenants s where s.id = tenant) then
            perform set_config('tenet.tenant_id', tenant::text, true);
            insert into decisions (tenant_id, id, source, revision, schema_version, matched, errors, cost, evaluated_at,
                decided_at, micros, request_id, rule_set_hash, facts, facts_left_out, selection)
            select tenant, n.id, 'evaluate', n.revision, n.schema_version, n.matched::uuid[], n.errors::jsonb, n.cost,
                n.evaluated, n.decided, n.micros, n.request_id, n.hash, n.facts::json, n.left_out, n.selection::jsonb
            from unnest(ids[first:final], revisions[first:final], schema_versions[first:final], matched[first:final],
                errors[first:final], costs[first:final], evaluated[first:final], decided[first:final],
                micros[first:final], request_ids[first:final], hashes[first:final], facts[first:final],
                left_out[first:final], selections[first:final])
                as n (id, revision, schema_version, matched, errors, cost, evaluated, decided, micros, request_id, hash,
                    facts, left_out, selection)
            on conflict do nothing;
            insert into decision_logs (tenant_id) values (tenant) on conflict do nothing;
            stored := stored + counts[t];
        end if;
        first := final + 1;
    end loop;
    return stored;
end
$$;
