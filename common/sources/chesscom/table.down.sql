drop table chesscom.games;
drop schema chesscom;
