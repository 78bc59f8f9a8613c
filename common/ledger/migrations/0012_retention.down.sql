alter table weir.tasks reset (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold, autovacuum_analyze_scale_factor);
drop index weir.garbage_kept;
drop index weir.tasks_ended_of_job;
drop index weir.job_accounts_sweep;
drop index weir.job_accounts_by_name;
drop index weir.sweeps_of_job;
drop index weir.jobs_continued;
drop index weir.jobs_of_fingerprint;
drop index weir.jobs_ended;
drop index weir.jobs_with_failures;
drop index weir.jobs_with_tasks;
-- The weir before this one would take an expired job of which tasks are gone for whole, and go on with what is left.
update weir.jobs j set state = 'cancelled'
 where j.state = 'expired' and (j.failures_pruned is not null or exists (
   select from weir.gone_tasks g where g.job_id = j.id and g.state in ('expired', 'dead')));
drop table weir.account_sums;
drop table weir.gone_tasks;
alter table weir.jobs drop column failures_pruned, drop column tasks_pruned;
