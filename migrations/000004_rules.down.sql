drop table if exists rules;
