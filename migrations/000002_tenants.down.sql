drop function if exists tenet_begin_epoch();
drop table if exists tenants;
drop function if exists tenet_count_rows();
drop function if exists tenet_record_tenant();
drop function if exists tenet_count_tenant();
drop table if exists tenant_changes;
