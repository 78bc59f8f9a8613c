-- The version before knows an unknown answer only as a request that is still under way.
update weir.credentials set state = 'spending' where state = 'unknown';
alter table weir.credentials
  drop constraint credentials_state_check,
  add constraint credentials_state_check check (state in ('ready', 'spending', 'lost')),
  drop column renewer,
  drop column renewer_until,
  drop column attempt,
  drop column granted,
  drop column tries,
  drop column not_before;
alter table weir.job_accounts drop column moves;
