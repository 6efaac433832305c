-- Keys of tenants: a hash each, never the secret. A key's public id says whose it is, so that it is looked up as that
-- tenant, and no function has to see past the policy.
create table if not exists api_keys (
    tenant_id uuid not null,
    id uuid not null,
    name text not null,
    digest bytea not null,
    scopes text[] not null,
    expires_at timestamptz,
    created_at timestamptz not null default now(),
    constraint api_keys_pkey primary key (tenant_id, id),
    constraint api_keys_tenant_fkey foreign key (tenant_id) references tenants (id) on delete cascade,
    constraint api_keys_name_length check (char_length(name) between 1 and 255),
    constraint api_keys_digest_length check (octet_length(digest) = 32),
    constraint api_keys_scopes_known
        check (cardinality(scopes) > 0 and scopes <@ array['evaluate', 'ingest', 'read', 'write', 'admin'])
);
create index if not exists api_keys_created on api_keys (tenant_id, created_at, id);

-- A key made or revoked is a revision of its tenant, so that every node hears of it as of any other change.
create or replace trigger api_keys_count_insert after insert on api_keys
    referencing new table as new_rows for each statement execute function tenet_count_rows();
create or replace trigger api_keys_count_update after update on api_keys
    referencing old table as old_rows new table as new_rows for each statement execute function tenet_count_rows();
create or replace trigger api_keys_count_delete after delete on api_keys
    referencing old table as old_rows for each statement execute function tenet_count_rows();
create or replace trigger api_keys_truncate before truncate on api_keys
    for each statement execute function tenet_refuse_truncate();

alter table api_keys enable row level security;
alter table api_keys force row level security;
drop policy if exists api_keys_tenant on api_keys;
create policy api_keys_tenant on api_keys
    using (tenant_id = nullif(current_setting('tenet.tenant_id', true), '')::uuid)
    with check (tenant_id = nullif(current_setting('tenet.tenant_id', true), '')::uuid);

-- When keys were last used. Apart from them, because this is no change that anybody has to hear of.
create table if not exists api_key_uses (
    tenant_id uuid not null,
    key_id uuid not null,
    last_used_at timestamptz not null,
    constraint api_key_uses_pkey primary key (tenant_id, key_id),
    constraint api_key_uses_key_fkey foreign key (tenant_id, key_id)
        references api_keys (tenant_id, id) on delete cascade
);
alter table api_key_uses enable row level security;
alter table api_key_uses force row level security;
drop policy if exists api_key_uses_tenant on api_key_uses;
create policy api_key_uses_tenant on api_key_uses
    using (tenant_id = nullif(current_setting('tenet.tenant_id', true), '')::uuid)
    with check (tenant_id = nullif(current_setting('tenet.tenant_id', true), '')::uuid);

-- Keys of operators. They belong to no tenant.
create table if not exists operator_keys (
    id uuid not null,
    name text not null,
    digest bytea not null,
    created_at timestamptz not null default now(),
    constraint operator_keys_pkey primary key (id),
    constraint operator_keys_name_length check (char_length(name) between 1 and 255),
    constraint operator_keys_digest_length check (octet_length(digest) = 32)
);
