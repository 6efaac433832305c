-- Where events wait until they are decided, as of the last start of a node that found nothing left elsewhere. One row.
create table if not exists event_place (
    only_row boolean primary key default true,
    place text not null default 'postgres',
    constraint event_place_one_row check (only_row)
);
insert into event_place default values on conflict do nothing;
