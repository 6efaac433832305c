drop table if exists event_place;
