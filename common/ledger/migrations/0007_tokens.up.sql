-- A renewal of an access token holds no session while the upstream is asked: who may spend the account's refresh token,
-- and until when, is in its row.
alter table weir.credentials
  add column renewer       text,                       -- the attempt that may spend it: its own random name
  add column renewer_until timestamptz,                -- after that another attempt may
  add column attempt       bigint not null default 0,  -- counts the attempts
  add column granted       bigint not null default 0,  -- the attempt that `sealed` came from: an older one's is not kept
  add column tries         int    not null default 0,  -- answers in a row that granted nothing and settled nothing
  add column not_before    timestamptz,                -- no attempt before
  drop constraint credentials_state_check,
  add constraint credentials_state_check check (state in ('ready', 'spending', 'unknown', 'lost'));

-- A worker of the version before may be asking right now.
update weir.credentials set renewer = 'before 0007', renewer_until = clock_timestamp() + interval '1 minute'
 where state = 'spending';

-- How often a worker moved the account to another meter's lanes: workers of different configurations must not do it for ever.
alter table weir.job_accounts add column moves int not null default 0;
