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
-- Nor would it know of the doubts of tasks that are gone, should a replay open their job again.
update weir.job_accounts a
   set doubt = coalesce(a.doubt, g.doubt, g.incomplete, 'tasks of this job were deleted')
  from (select job_id, account, min(doubt) as doubt, min(incomplete) as incomplete from weir.gone_tasks group by 1, 2) g
 where (a.job_id, a.account) = (g.job_id, g.account);
-- Dead tasks next to which others are gone cannot make their account whole any more.
update weir.tasks t set state = 'cancelled', letter_due = false
 where t.state = 'dead' and t.job_id in (select g.job_id from weir.gone_tasks g where g.state in ('dead', 'expired'));
drop table weir.account_sums;
drop table weir.gone_tasks;
alter table weir.jobs drop column failures_pruned, drop column tasks_pruned;
