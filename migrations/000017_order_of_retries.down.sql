alter table event_retries drop column if exists place;
