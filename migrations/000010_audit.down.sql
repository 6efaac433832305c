-- Keys that read the log have nothing left to read.
alter table api_keys no force row level security;
delete from api_keys where scopes = array['audit'];
update api_keys set scopes = array_remove(scopes, 'audit') where 'audit' = any (scopes);
alter table api_keys force row level security;
alter table api_keys drop constraint if exists api_keys_scopes_known;
alter table api_keys add constraint api_keys_scopes_known
    check (cardinality(scopes) > 0 and scopes <@ array['evaluate', 'ingest', 'read', 'write', 'admin']);
drop table if exists audit_heads;
drop table if exists audit_log;
