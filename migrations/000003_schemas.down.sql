drop table if exists schemas;
