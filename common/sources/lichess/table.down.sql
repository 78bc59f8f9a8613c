drop table lichess.games;
drop schema lichess;
