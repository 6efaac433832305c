drop function if exists tenet_refuse_truncate();
drop function if exists tenet_touch();
drop table if exists installation;
