-- The ledger: what is planned, done, parked, dead. It is the truth; Kafka is only dispatch (DESIGN §1).
create schema weir;

-- Accounts as first spelled; `key` is the source's spelling-free form, `canonical` what the upstream calls it since a
-- permanent redirect.
create table weir.accounts (
  source    text not null,
  key       text not null,
  name      text not null,
  canonical text not null,
  memo      text not null default '',  -- what its source remembers of the upstream, e.g. which form of a request it takes
  primary key (source, key),
  unique (source, name)
);

create table weir.jobs (
  id            bigint generated always as identity primary key,
  -- source, stream, mode asked for, accounts and filter in one text: two open jobs with the same one are the same sync.
  fingerprint   text        not null,
  source        text        not null,
  stream        text        not null,
  mode          text        not null check (mode in ('full', 'incremental')),
  state         text        not null default 'queued'
                check (state in ('queued', 'running', 'paused', 'succeeded', 'partial', 'failed', 'cancelled', 'expired')),
  priority      text        not null default 'bulk' check (priority in ('interactive', 'bulk')),
  since_ms      bigint,
  until_ms      bigint,
  record_limit  bigint,
  now_ms        bigint      not null,  -- the "now" of its plans: a job planned twice has the same windows
  traceparent   text        not null,
  created_at    timestamptz not null default now(),
  started_at    timestamptz,
  finished_at   timestamptz,
  deadline_at   timestamptz,
  continues     bigint references weir.jobs (id)  -- the expired job whose unfinished tasks it took over
);
create unique index jobs_open_fingerprint on weir.jobs (fingerprint) where state in ('queued', 'running', 'paused');
create index jobs_open on weir.jobs (id) where state in ('queued', 'running', 'paused');

create table weir.job_accounts (
  job_id        bigint  not null references weir.jobs (id) on delete cascade,
  account       text    not null,  -- weir.accounts.name
  position      int     not null,  -- as the user listed them
  planned       boolean not null default false,  -- its tasks are all written
  mode          text    not null check (mode in ('full', 'incremental')),
  meter         text    not null,
  lanes         int     not null,
  -- The table held nothing of the account when it was planned: no look-up is needed, a unique violation corrects.
  empty_at_start boolean not null default false,
  began_ms      bigint,  -- when the oldest of its pages was planned to be read, if a job before this one began it
  state         text    not null default 'queued'
                check (state in ('queued', 'running', 'paused', 'succeeded', 'partial', 'failed', 'cancelled', 'expired')),
  -- When the first of the jobs was opened that this one goes on with: an expired job's tasks may be its own.
  began_at      timestamptz not null default now(),
  doubt         text,              -- of a task that an expired job had done: why records may have been missed
  -- The sweep that follows a full job: due until it is decided; marked = done; held = too many rows for it to be done
  -- unasked; refused = for sweep_reason; spent = it was held, and what it rests on is gone. null = none follows.
  sweep         text check (sweep in ('due', 'marked', 'held', 'refused', 'spent')),
  sweep_reason  text,
  stale         bigint  not null default 0,      -- rows it marked
  total_before  bigint,            -- what the upstream said there is, when it was asked first and last;
  total_after   bigint,            -- null = it does not tell
  met           bigint,            -- different records that were met, counted by the sweep
  carried       bigint  not null default 0,      -- records that the expired jobs it goes on with had fetched
  error_class   text,              -- why the whole account failed
  error_message text,
  error_hint    text,
  started_at    timestamptz,
  finished_at   timestamptz,
  primary key (job_id, account)
);

-- One row a task: a page range of a job on a lane (DESIGN §1).
create table weir.tasks (
  id            bigint generated always as identity primary key,
  job_id        bigint      not null references weir.jobs (id) on delete cascade,
  account       text        not null,
  meter         text        not null,
  lane          int         not null,
  kind          smallint    not null,             -- SelectorKind
  lo            bigint      not null default 0,
  hi            bigint      not null default 0,
  key           text        not null default '',
  budget        bigint,                           -- new records still wanted when it starts
  -- planned → dispatched → running → done | dead | cancelled | expired; parked and planned are to be dispatched
  state         text        not null default 'planned'
                check (state in ('planned', 'dispatched', 'running', 'parked', 'done', 'dead', 'cancelled', 'expired')),
  not_before    timestamptz,                      -- parked until
  epoch         bigint      not null default 0,   -- each claim raises it; every write names it
  owner         text,                             -- worker that holds the claim
  attempts      int         not null default 0,   -- tries that failed and counted
  crashes       int         not null default 0,   -- claims in a row that ended with their worker and no batch committed
  dispatches    int         not null default 0,
  replays       int         not null default 0,
  dispatched_at timestamptz,
  advanced_at   timestamptz,                      -- last claim or committed batch
  finished_at   timestamptz,
  -- Committed position: page, records of that page that are done, and a digest of them (a re-read checks it).
  page          bigint      not null default 0,
  position      bigint      not null default 0,
  digest        bigint      not null default 0,
  -- Counters, written in the same statement as the position: a crash changes none of them (DESIGN §4.1).
  pages         bigint      not null default 0,
  fetched       bigint      not null default 0,
  inserted      bigint      not null default 0,
  updated       bigint      not null default 0,
  unchanged     bigint      not null default 0,
  rejected      bigint      not null default 0,
  duplicates    bigint      not null default 0,
  requests      bigint      not null default 0,   -- effort: these two do tell of crashes
  busy_ms       bigint      not null default 0,
  doubt         text,                             -- why the job may have missed records although this task is done
  error_class   text,
  http_status   int,
  error_message text,
  error_hint    text,
  error_request text,                             -- redacted
  error_head    text,
  error_body    text,
  -- Its dead letter is still to be sent, with the message as it came and "topic/partition/offset" where it stood.
  letter_due     boolean not null default false,
  letter_message bytea,
  letter_from    text
) with (fillfactor = 80);
create index tasks_ready on weir.tasks (meter, lane, job_id, id) where state in ('planned', 'parked');
create index tasks_outstanding on weir.tasks (meter, lane) where state in ('dispatched', 'running');
create index tasks_of_job on weir.tasks (job_id, account);
create index tasks_open_of_job on weir.tasks (job_id, account) where state in ('planned', 'dispatched', 'running', 'parked');
create index tasks_parked on weir.tasks (not_before) where state = 'parked';
create index tasks_letters on weir.tasks (id) where letter_due;
create index tasks_dead on weir.tasks (job_id) where state = 'dead';

-- A lane's lease and limiter state (DESIGN §4.5, §6). A new owner continues where the old one was.
create table weir.lanes (
  meter       text             not null,
  lane        int              not null,
  holder      text,
  lease_epoch bigint           not null default 0,
  lease_until timestamptz,
  not_before  timestamptz,                     -- waits until then (Retry-After, adaptive delay)
  waiting_for text,                            -- 'throttled', 'backoff', 'database', …
  delay_ms    double precision not null default 0,
  task_ms     double precision not null default 0,  -- moving average of a task's time: how far to dispatch ahead
  successes   bigint           not null default 0,  -- requests that went well, and 429s, ever
  throttles   bigint           not null default 0,
  -- Windows of quotas that are counted (a day), one element each: length, begin, requests that may have been sent in it.
  window_ms    bigint[]      not null default '{}',
  window_began timestamptz[] not null default '{}',
  window_sent  bigint[]      not null default '{}',
  last_job    bigint           not null default 0,  -- whose task was sent last: jobs that share a lane take turns
  updated_at  timestamptz      not null default now(),
  primary key (meter, lane)
);

-- Records that could not be stored, each alone, with its reason.
create table weir.rejects (
  task_id    bigint      not null references weir.tasks (id) on delete cascade,
  page       bigint      not null,
  position   bigint      not null,  -- of the record in its page, from 0
  account    text        not null,
  record_id  text,
  reason     text        not null,
  body_start bytea       not null,  -- ≤ 4 KiB of the record as received
  created_at timestamptz not null default now(),
  primary key (task_id, page, position)
);

-- Messages that could not be read (garbage, unknown versions): kept to be shown and purged.
create table weir.garbage (
  topic      text        not null,
  partition  int         not null,
  kafka_offset bigint    not null,
  reason     text        not null,
  body_start bytea       not null,
  created_at timestamptz not null default now()
);
-- The embedded broker counts its offsets anew after a restart: an offset alone names no message.
create unique index garbage_message on weir.garbage (topic, partition, kafka_offset, md5(body_start));

-- What was read, so that a later incremental sync leaves no hole.
create table weir.read_ranges (
  source  text           not null,
  stream  text           not null,
  account text           not null,
  ranges  int8multirange not null,  -- Unix milliseconds
  primary key (source, stream, account)
);

create table weir.archives (
  source        text        not null,
  stream        text        not null,
  account       text        not null,
  key           text        not null,
  etag          text        not null default '',
  last_modified text        not null default '',
  complete      boolean     not null,
  read_at       timestamptz not null default now(),
  primary key (source, stream, account, key)
);

-- Records that were not final when last read; read again by id until they are.
create table weir.watched (
  source  text        not null,
  stream  text        not null,
  account text        not null,
  id      text        not null,
  since   timestamptz not null default now(),
  primary key (source, stream, account, id)
);

-- When an account's stream was last read whole by a full sync: the default mode is incremental after that.
create table weir.full_syncs (
  source      text        not null,
  stream      text        not null,
  account     text        not null,
  job_id      bigint      not null,
  began_ms    bigint      not null,  -- whatever changed before this was seen by it
  finished_at timestamptz not null default now(),
  primary key (source, stream, account)
);

-- What was met of an account's records, by 64-bit hashes of their ids, one row a batch and in its transaction: a sweep
-- marks what a full job did not meet, and nothing that anyone met since it began. Deleted when no sweep needs it.
create table weir.seen (
  source   text        not null,
  stream   text        not null,
  account  text        not null,
  job_id   bigint      not null,
  noted_at timestamptz not null default clock_timestamp(),
  hashes   bigint[]    not null  -- hashtextextended(id, 0)
);
alter table weir.seen alter column hashes set storage plain;  -- they are random: compressing them is lost work
create index seen_of_account on weir.seen (source, stream, account, noted_at);

-- Sweeps, planned and done (DESIGN §8).
create table weir.sweeps (
  id         bigint generated always as identity primary key,
  source     text        not null,
  stream     text        not null,
  account    text        not null,
  job_id     bigint      not null references weir.jobs (id) on delete cascade,  -- the full job it rests on
  automatic  boolean     not null,
  began_at   timestamptz not null,  -- rows touched since then are spared
  live       bigint      not null,  -- rows in its scope that were not stale
  to_mark    bigint      not null,
  digest     text        not null,  -- of the ids to mark: another set of rows is another sweep
  met        bigint      not null,  -- different ids that were met
  created_at timestamptz not null default clock_timestamp(),
  applied_at timestamptz,
  marked     bigint      not null default 0
);
create index sweeps_applied on weir.sweeps (source, stream, account, applied_at) where applied_at is not null;

-- What a sweep of an account's stream holds alone while it decides and marks, as an advisory lock; batches that leave
-- rows as they found them share it.
create function weir.sweep_lock_key(source text, stream text, account text) returns bigint language sql immutable
return hashtextextended(source || '/' || stream || '/' || account, 8);

-- Notes what a task met, in the transaction of its batch. `kept`: the table of which the batch leaves some rows as they
-- are, or null. It found these not stale; a sweep that came in between did not see this note, so what it marked of them
-- is taken back. A function, because that update is next to never wanted, and would cost a batch more than the note.
create function weir.note_met(source text, stream text, account text, job bigint, ids text[], kept text)
  returns void language plpgsql as $note$
begin
  if kept is not null then
    perform pg_advisory_xact_lock_shared(weir.sweep_lock_key($1, $2, $3));
  end if;
  insert into weir.seen (source, stream, account, job_id, hashes)
  select $1, $2, $3, job, array(select hashtextextended(unnest(ids), 0));
  if kept is not null
     and exists (select from weir.sweeps s
                  where (s.source, s.stream, s.account) = ($1, $2, $3)
                    and s.applied_at >= (select j.created_at from weir.jobs j where j.id = job)) then
    execute format('update %s set stale_at = null, updated_at = clock_timestamp() '
                   'where account = $1 and id = any($2) and stale_at is not null', kept::regclass)
      using account, ids;
  end if;
end
$note$;

-- Access tokens that are renewed by single-use refresh tokens. `sealed` holds both, encrypted (AES-256-GCM under
-- WEIR_ENCRYPTION_KEY); `seed` is a keyed fingerprint of the refresh token in weir.yaml that they came from. A refresh
-- token is `spending` from before it is sent until its answer is stored.
create table weir.credentials (
  source     text        not null,
  account    text        not null,  -- weir.accounts.key
  seed       text        not null,
  state      text        not null check (state in ('ready', 'spending', 'lost')),
  generation bigint      not null default 0,
  sealed     bytea,
  expires_at timestamptz,
  changed_at timestamptz not null default now(),
  primary key (source, account)
);

-- Where records differ from what their table knows: names and kinds of fields, no values.
create table weir.drift (
  source        text        not null,
  stream        text        not null,
  field         text        not null,
  kind          text        not null check (kind in ('unknown', 'type', 'missing')),
  expected      text        not null,
  found         text        not null,
  count         bigint      not null,
  first_seen_at timestamptz not null default now(),
  last_seen_at  timestamptz not null default now(),
  primary key (source, stream, field, kind)
);

-- Worker processes, so that "0 workers and no live worker" can be said at once.
create table weir.workers (
  id         text primary key,
  host       text        not null,
  pid        int         not null,
  member     text        not null default '',  -- what the broker calls it as a member of the group
  memory     bigint      not null default 0,  -- bytes it holds, as it last said
  started_at timestamptz not null default now(),
  seen_at    timestamptz not null default now()
);

-- A batch has looked its rows up before its transaction. When one of them was written or deleted by another lane since,
-- it is looked up anew, as a row is that another has inserted: hence the same error.
create function weir.expect_rows(written bigint, expected bigint) returns void language plpgsql as $rows$
begin
  if written <> expected then
    raise unique_violation using message = 'rows that a batch was to change have changed since';
  end if;
end
$rows$;
