-- The order in which events began to wait: behind each other for one ordering key. The order of ids is not that of
-- events that came through the broker, whose ids are made before they are published.
alter table event_retries add column if not exists place bigint generated always as identity;
