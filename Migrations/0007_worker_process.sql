-- 0007_worker_process.sql: which process a worker is, so that only who can see it says that it is gone.
ALTER TABLE worker
    ADD COLUMN place      text   NOT NULL DEFAULT '',  -- the start of the machine and the numbering of processes
    ADD COLUMN start_time bigint NOT NULL DEFAULT 0;   -- of the process, in the kernel's ticks since that start
