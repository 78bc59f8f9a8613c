alter table weir.job_accounts drop column if exists estimate;
