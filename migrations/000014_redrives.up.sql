-- Dead letters that are being brought back, a second's worth at a time. Whichever node consumes the tenant's queue goes on
-- where the last one ended.
create table if not exists redrives (
    tenant_id uuid not null references tenants (id) on delete cascade,
    id uuid not null,
    -- Which dead letters.
    filter jsonb not null,
    -- How many matched when it was made: it brings back no more.
    matched bigint not null,
    -- Events a second.
    rate integer not null,
    done bigint not null default 0,
    -- The last event that was brought back.
    position uuid,
    state text not null default 'running',
    -- When more is brought back.
    next_at timestamptz not null default now(),
    actor text not null,
    created_at timestamptz not null default now(),
    ended_at timestamptz,
    constraint redrives_pkey primary key (tenant_id, id),
    constraint redrives_state_known check (state in ('running', 'done', 'stopped')),
    constraint redrives_rate_positive check (rate > 0)
);
create index if not exists redrives_running on redrives (tenant_id) where state = 'running';

alter table redrives enable row level security;
alter table redrives force row level security;
drop policy if exists redrives_tenant on redrives;
create policy redrives_tenant on redrives
    using (tenant_id = nullif(current_setting('tenet.tenant_id', true), '')::uuid)
    with check (tenant_id = nullif(current_setting('tenet.tenant_id', true), '')::uuid);
create or replace trigger redrives_truncate before truncate on redrives
    for each statement execute function tenet_refuse_truncate();
