-- What holds for the database as a whole. One row.
create table if not exists installation (
    only_row boolean primary key default true,
    -- One history of this database. A restore from a backup begins another, in which revisions may be lower.
    epoch uuid not null default gen_random_uuid(),
    epoch_began_at timestamptz not null default now(),
    -- The oldest service that can work with these tables. A migration that older ones cannot live with raises it.
    minimum_version text not null default '0.1.0',
    constraint installation_one_row check (only_row)
);
insert into installation default values on conflict do nothing;

create or replace function tenet_touch() returns trigger language plpgsql as $$
begin
    new.updated_at := now();
    return new;
end
$$;

-- TRUNCATE fires no row triggers, so that nobody would learn of it.
create or replace function tenet_refuse_truncate() returns trigger language plpgsql as $$
begin
    raise exception 'truncating % is refused: it would pass by the revisions', tg_table_name
        using errcode = 'feature_not_supported', hint = 'use DELETE, which is counted';
end
$$;
