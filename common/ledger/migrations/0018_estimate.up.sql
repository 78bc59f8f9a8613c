-- About how many records the upstream says there are, where it does not vouch for the number; null = it does not tell.
alter table weir.job_accounts add column if not exists estimate bigint;
