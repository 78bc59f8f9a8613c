drop schema weir cascade;
