-- Games of Chess.com players, one row a game and account: the same game stands in both players' archives.
-- Keys compare byte by byte, and what a look-up and a sweep read stands first: docs/performance.md says what both are worth.
create schema chesscom;

create table chesscom.games (
  account         text        collate "C" not null,
  id              text        collate "C" not null,  -- the game's uuid, else its url
  content_hash    bigint      not null,
  first_seen_at   timestamptz not null default now(),
  updated_at      timestamptz not null default now(),
  stale_at        timestamptz,
  end_time        timestamptz,
  start_time      timestamptz,           -- of daily games
  rated           boolean,
  rules           text,                  -- chess, chess960, …
  time_class      text,                  -- daily, rapid, blitz, bullet
  time_control    text,                  -- as given: 180+2, 600, 1/86400
  white_name      text,
  white_rating    integer,
  white_result    text,                  -- win, resigned, agreed, …
  black_name      text,
  black_rating    integer,
  black_result    text,
  winner          text,                  -- white | black; null for a draw
  result          text,                  -- 1-0 | 0-1 | 1/2-1/2
  eco             text,                  -- the code, from the PGN
  opening         text,                  -- the name, from eco_url
  eco_url         text,
  moves           text,                  -- SAN, separated by blanks, from the PGN
  pgn             text,
  fen             text,                  -- of the last position
  initial_setup   text,
  clock_initial   integer,               -- seconds
  clock_increment integer,               -- seconds
  days_per_turn   integer,
  accuracy_white  double precision,
  accuracy_black  double precision,
  tournament      text,
  match           text,
  url             text,
  raw             jsonb       not null,
  primary key (account, id)
);

-- What a player asks by, and what a look-up reads along.
create index games_by_time on chesscom.games (account, end_time);
