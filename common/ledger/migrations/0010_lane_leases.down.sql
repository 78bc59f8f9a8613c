alter table weir.workers drop column holding_at;
alter table weir.workers drop column holding;
alter table weir.lanes drop column lease_ms;
