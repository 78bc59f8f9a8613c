-- How long the lease was taken or renewed for. Workers may be configured with different lengths: whether a lease lies
-- too far in the future (the database's clock was set back) is judged by its own length, never by the asker's.
alter table weir.lanes add column lease_ms bigint;

-- The tasks that a worker says it has in its hands. What it claimed and no longer holds goes back at once: after a
-- crash of the database a task's `done` may be lost although its worker was told that it was committed.
alter table weir.workers add column holding bigint[];
alter table weir.workers add column holding_at timestamptz;  -- by the database's clock, when `holding` was written
