-- The processes that serve this database, each a row that it writes again every few seconds. Nothing of a tenant is in
-- it. A node whose row is old is gone; the others remove it.
create table if not exists nodes (
    id uuid not null,
    host text not null,
    version text not null,
    started_at timestamptz not null default now(),
    heartbeat_at timestamptz not null default now(),
    resident_tenants bigint not null,
    memory_bytes bigint not null,
    lag_ms bigint not null,
    synchronised_ago_ms bigint not null,
    constraint nodes_pkey primary key (id)
);
