alter table weir.job_accounts drop column incomplete_reason, drop column looked_again;
alter table weir.tasks drop column incomplete;
