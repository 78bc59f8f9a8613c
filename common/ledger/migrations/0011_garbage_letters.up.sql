-- The dead letters of messages that could not be read are sent by the leader too, like those of dead tasks: a worker's
-- poll loop only writes the row. What is needed for the letter is dropped once Kafka has acknowledged it.
alter table weir.garbage add column id bigint generated always as identity;
alter table weir.garbage add column letter_due boolean not null default false;
alter table weir.garbage add column letter_key bytea;
alter table weir.garbage add column letter_message bytea;
alter table weir.garbage add column letter_headers bytea[];  -- name, value, name, value, …
create index garbage_letters on weir.garbage (id) where letter_due;
