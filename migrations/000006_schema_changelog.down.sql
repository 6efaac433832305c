drop table if exists schema_changelog;
