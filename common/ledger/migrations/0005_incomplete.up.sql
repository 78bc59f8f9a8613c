-- What was read is not proven to be whole: a task's own reason, and the account's, which ends partial with it. A doubt
-- (weir.tasks.doubt) only forbids a sweep.
alter table weir.tasks add column incomplete text;
alter table weir.job_accounts
  add column incomplete_reason text,
  -- The upstream's last question was asked once more, because fewer records came than it says there are.
  add column looked_again boolean not null default false;
