drop table if exists derived_fields;
