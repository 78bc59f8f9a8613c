-- A job that is being closed goes on to be closed: as one past its deadline.
update weir.jobs set deadline_at = now() where closing is not null and state in ('queued', 'running', 'paused');
alter table weir.job_accounts drop column refused_by;
alter table weir.jobs drop column closing;
