drop index weir.garbage_letters;
alter table weir.garbage drop column letter_headers;
alter table weir.garbage drop column letter_message;
alter table weir.garbage drop column letter_key;
alter table weir.garbage drop column letter_due;
alter table weir.garbage drop column id;
