drop table if exists operator_keys;
drop table if exists api_key_uses;
drop table if exists api_keys;
