-- Who changed what of a tenant. Rows are only ever added: the service's role may neither change nor remove them, and
-- each carries a hash over itself and the one before, so that whoever does it by hand is found out. No foreign key:
-- the log outlives its tenant, and the deletion is one of its rows.
create table if not exists audit_log (
    tenant_id uuid not null,
    -- 1, 2, 3 … for each tenant.
    sequence bigint not null,
    at timestamptz not null,
    actor text not null,
    key_id uuid,
    action text not null,
    resource text not null,
    revision bigint not null,
    -- As text, not as JSONB: what was hashed is kept letter by letter.
    before json,
    after json,
    request_id text,
    address text,
    hash bytea not null,
    constraint audit_log_pkey primary key (tenant_id, sequence),
    constraint audit_log_sequence_positive check (sequence > 0),
    constraint audit_log_hash_length check (octet_length(hash) = 32)
);
create index if not exists audit_log_at on audit_log (tenant_id, at);
create index if not exists audit_log_action on audit_log (tenant_id, action, sequence);
create index if not exists audit_log_actor on audit_log (tenant_id, actor, sequence);

create or replace trigger audit_log_truncate before truncate on audit_log
    for each statement execute function tenet_refuse_truncate();

alter table audit_log enable row level security;
alter table audit_log force row level security;
drop policy if exists audit_log_tenant on audit_log;
create policy audit_log_tenant on audit_log
    using (tenant_id = nullif(current_setting('tenet.tenant_id', true), '')::uuid)
    with check (tenant_id = nullif(current_setting('tenet.tenant_id', true), '')::uuid);

-- Where each tenant's log ends, so that rows removed from its end are missed as well. Read across tenants, and without
-- anything of their content.
create table if not exists audit_heads (
    tenant_id uuid not null,
    sequence bigint not null,
    hash bytea not null,
    constraint audit_heads_pkey primary key (tenant_id),
    constraint audit_heads_hash_length check (octet_length(hash) = 32)
);
create or replace trigger audit_heads_truncate before truncate on audit_heads
    for each statement execute function tenet_refuse_truncate();

-- Keys that read the log and nothing else.
alter table api_keys drop constraint if exists api_keys_scopes_known;
alter table api_keys add constraint api_keys_scopes_known
    check (cardinality(scopes) > 0 and scopes <@ array['evaluate', 'ingest', 'read', 'audit', 'write', 'admin']);
