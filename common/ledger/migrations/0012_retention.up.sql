-- What has ended is deleted after a time (docs/operating.md, "What is kept"), in small batches, by the leader. What a job's
-- numbers and decisions need of tasks that are gone is kept as sums.

-- Of the tasks of an account that were deleted, by kind and end. What reads an ended task reads these as well.
create table weir.gone_tasks (
  job_id      bigint  not null,
  account     text    not null,
  plan        boolean not null,  -- tasks of the plan (kind 0), or of data
  state       text    not null,
  tasks       bigint  not null,
  pages       bigint  not null,
  fetched     bigint  not null,
  inserted    bigint  not null,
  updated     bigint  not null,
  unchanged   bigint  not null,
  rejected    bigint  not null,
  duplicates  bigint  not null,
  requests    bigint  not null,
  refused     bigint  not null,  -- of dead ones: those that fail their account
  doubt       text,
  incomplete  text,
  began_at    timestamptz,       -- of the first that began
  advanced_at timestamptz,       -- when the last of them was worked on
  primary key (job_id, account, plan, state),
  foreign key (job_id, account) references weir.job_accounts on delete cascade
);

-- What an account came to, summed up once when it ended: showing a job must not add up a million tasks. There is no row
-- while the account is open, nor of one that ended before there was this table.
create table weir.account_sums (
  job_id         bigint not null,
  account        text   not null,
  pages          bigint not null,
  fetched        bigint not null,
  inserted       bigint not null,
  updated        bigint not null,
  unchanged      bigint not null,
  rejected       bigint not null,
  duplicates     bigint not null,
  dead_pages     bigint not null,
  requests       bigint not null,
  planned_tasks  bigint not null,
  primary key (job_id, account),
  foreign key (job_id, account) references weir.job_accounts on delete cascade
);

-- How far a job's history is deleted. `failures_pruned`: dead tasks, rejects, what a next run would take over; null = all is
-- kept, begun = nothing may rest on it any more.
alter table weir.jobs
  add column tasks_pruned boolean not null default false,
  add column failures_pruned text check (failures_pruned in ('begun', 'done'));
create index jobs_with_tasks on weir.jobs (finished_at) where finished_at is not null and not tasks_pruned;
create index jobs_with_failures on weir.jobs (finished_at)
  where finished_at is not null and failures_pruned is distinct from 'done';
create index jobs_ended on weir.jobs (finished_at) where finished_at is not null;
create index jobs_of_fingerprint on weir.jobs (fingerprint, id);
create index jobs_continued on weir.jobs (continues) where continues is not null;
create index sweeps_of_job on weir.sweeps (job_id);
create index job_accounts_by_name on weir.job_accounts (account, job_id);
create index job_accounts_sweep on weir.job_accounts (account) where sweep in ('due', 'held');

-- A batch of a job's ended tasks is found where the last one stopped, past whatever was deleted before it.
create index tasks_ended_of_job on weir.tasks (job_id, id) where state in ('done', 'dead', 'cancelled', 'expired');
create index garbage_kept on weir.garbage (created_at, id) where not letter_due;

-- Each step of a task leaves a dead entry in the indexes that dispatch reads along: they are to go long before they are
-- a fifth of a table that holds a week of history.
alter table weir.tasks set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000,
                            autovacuum_analyze_scale_factor = 0.05);
