-- Work on many rows goes in slices, each a transaction of its own: a job of millions of open tasks is cancelled or expires
-- by first being marked, which ends its claims and its dispatch, and its tasks are closed after that.
alter table weir.jobs add column closing text check (closing in ('cancelled', 'expired'));
-- The task whose credentials were refused: the account's other open tasks die with it.
alter table weir.job_accounts add column refused_by bigint;
