drop table if exists redrives;
