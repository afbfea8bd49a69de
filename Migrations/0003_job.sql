-- 0003_job.sql: work to be done, with its lease, and the workers that do it.
CREATE TYPE job_state AS ENUM ('queued', 'running', 'succeeded', 'failed', 'cancelled');
CREATE TYPE job_lane AS ENUM ('data', 'training');  -- imports never wait behind trainings
CREATE TABLE job (
    id               bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organisation_id  uuid        NOT NULL REFERENCES organisation,
    project_id       uuid        NOT NULL,
    kind             text        NOT NULL CHECK (kind <> ''),
    lane             job_lane    NOT NULL,
    payload          jsonb       NOT NULL,
    state            job_state   NOT NULL DEFAULT 'queued',
    priority         smallint    NOT NULL DEFAULT 0,
    serial_key       text,       -- jobs of one key run one after the other, in the order of their ids
    attempt          smallint    NOT NULL DEFAULT 0,
    max_attempts     smallint    NOT NULL DEFAULT 3 CHECK (max_attempts > 0),
    run_at           timestamptz NOT NULL DEFAULT now(),
    cancel_requested boolean     NOT NULL DEFAULT false,
    worker           uuid,
    token            uuid,       -- new at every claim, never used again
    lease_expires_at timestamptz,
    progress         real        NOT NULL DEFAULT 0 CHECK (progress BETWEEN 0 AND 1),
    problem          jsonb,
    log              text        NOT NULL DEFAULT '',
    request_id       text        NOT NULL DEFAULT '',
    created_at       timestamptz NOT NULL DEFAULT now(),
    started_at       timestamptz,  -- of the newest attempt
    finished_at      timestamptz,
    CONSTRAINT running_is_leased CHECK (CASE WHEN state = 'running'
        THEN num_nulls(worker, token, lease_expires_at) = 0 ELSE num_nonnulls(worker, token, lease_expires_at) = 0 END),
    CONSTRAINT finished_has_time CHECK ((state IN ('succeeded', 'failed', 'cancelled')) = (finished_at IS NOT NULL))
);
-- The head of each project's queue, and when each project was served last.
CREATE INDEX job_due ON job (lane, project_id, priority DESC, run_at, id) WHERE state = 'queued';
CREATE INDEX job_served ON job (lane, project_id, started_at) WHERE started_at IS NOT NULL;
-- None of these says `state = 'running'` or implies it: with statistics from a quiet time the planner would complete jobs
-- through such an index, and read all that runs or waits.
CREATE INDEX job_overdue ON job (lease_expires_at) WHERE lease_expires_at IS NOT NULL;
CREATE INDEX job_serial ON job (serial_key, id) WHERE serial_key IS NOT NULL AND finished_at IS NULL;
CREATE UNIQUE INDEX job_serial_running ON job (serial_key) WHERE serial_key IS NOT NULL AND lease_expires_at IS NOT NULL;
CREATE INDEX job_of_project ON job (project_id) WHERE finished_at IS NULL;
CALL make_tenant_table('job', 'SELECT, INSERT, UPDATE');
CALL open_to_system('job', 'SELECT, UPDATE');

CREATE TABLE worker (
    id           uuid        PRIMARY KEY,
    host         text        NOT NULL,
    pid          integer     NOT NULL,
    build        text        NOT NULL,
    slots        jsonb       NOT NULL,  -- {lane: count}
    started_at   timestamptz NOT NULL DEFAULT now(),
    last_seen_at timestamptz NOT NULL DEFAULT now()
);
GRANT SELECT, INSERT, UPDATE, DELETE ON worker TO slipway_system;
