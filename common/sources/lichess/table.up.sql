-- Games of Lichess players, one row a game and account: the same game stands with both of its players' accounts.
-- Keys compare byte by byte, and what a look-up and a sweep read stands first: docs/performance.md says what both are worth.
create schema lichess;

create table lichess.games (
  account           text        collate "C" not null,
  id                text        collate "C" not null,
  content_hash      bigint      not null,
  first_seen_at     timestamptz not null default now(),
  updated_at        timestamptz not null default now(),
  stale_at          timestamptz,
  created_at        timestamptz not null,
  last_move_at      timestamptz,
  rated             boolean,
  variant           text,
  speed             text,
  perf              text,
  status            text,
  source            text,
  winner            text,     -- white | black; null for a draw, or while nobody has won
  result            text,     -- 1-0 | 0-1 | 1/2-1/2; null while unfinished, and if aborted
  white_name        text,     -- null for the computer and for anonymous players
  white_title       text,
  white_rating      integer,
  white_rating_diff integer,
  white_ai_level    integer,
  black_name        text,
  black_title       text,
  black_rating      integer,
  black_rating_diff integer,
  black_ai_level    integer,
  eco               text,
  opening           text,
  opening_ply       integer,
  moves             text,     -- SAN, separated by blanks
  pgn               text,     -- with sources.lichess.pgn_in_json
  initial_fen       text,
  last_fen          text,     -- with sources.lichess.last_fen
  clock_initial     integer,  -- seconds
  clock_increment   integer,  -- seconds
  days_per_turn     integer,
  tournament        text,     -- an arena's or a swiss tournament's id
  raw               jsonb       not null,
  primary key (account, id)
);

-- What a player asks by, and what a look-up reads along.
create index games_by_time on lichess.games (account, created_at);
