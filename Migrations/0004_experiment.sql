-- 0004_experiment.sql: experiments, their trials, checkpoints and events.
CREATE TYPE experiment_status AS ENUM ('queued', 'running', 'succeeded', 'failed', 'cancelled');
CREATE TABLE experiment (
    id              uuid              PRIMARY KEY DEFAULT gen_random_uuid(),
    organisation_id uuid              NOT NULL REFERENCES organisation,
    project_id      uuid              NOT NULL REFERENCES project,
    name            text              NOT NULL CHECK (name <> ''),
    dataset_id      uuid              NOT NULL REFERENCES dataset,
    version         integer           NOT NULL,
    task            text              NOT NULL,
    objective       text              NOT NULL,
    preset          text              NOT NULL CHECK (preset IN ('fast', 'balanced', 'best')),
    target          text,
    template        jsonb,            -- the user's own choice or template; NULL: the chooser decides
    seed            bigint            NOT NULL,
    budget_seconds  double precision  CHECK (budget_seconds >= 10),
    budget_trials   integer           CHECK (budget_trials > 0),
    status          experiment_status NOT NULL DEFAULT 'queued',
    cancel_requested boolean          NOT NULL DEFAULT false,
    progress        real              NOT NULL DEFAULT 0 CHECK (progress BETWEEN 0 AND 1),
    chosen          jsonb,            -- {template, why}
    considered      jsonb             NOT NULL DEFAULT '[]',
    best_trial      uuid,
    metrics         jsonb,
    model_version_id uuid,
    problem         jsonb,
    event_count     bigint            NOT NULL DEFAULT 0,
    spent_seconds   double precision  NOT NULL DEFAULT 0,  -- of finished attempts that counted
    request_id      text              NOT NULL DEFAULT '',
    created_at      timestamptz       NOT NULL DEFAULT now(),
    started_at      timestamptz,
    finished_at     timestamptz,
    FOREIGN KEY (dataset_id, version) REFERENCES dataset_version,
    CONSTRAINT has_budget CHECK (num_nonnulls(budget_seconds, budget_trials) >= 1),
    CONSTRAINT failed_has_problem CHECK ((status = 'failed') = (problem IS NOT NULL))
);
CREATE INDEX experiment_listing ON experiment (project_id, created_at, id);
CREATE INDEX experiment_of_version ON experiment (dataset_id, version);
CREATE INDEX experiment_being_cancelled ON experiment (id) WHERE cancel_requested AND finished_at IS NULL;
CALL make_tenant_table('experiment', 'SELECT, INSERT, UPDATE, DELETE');
CALL open_to_system('experiment', 'SELECT');

-- A trial runs in rungs (successive halving); each rung is a job. `stopped`: halved away, its score stands.
CREATE TYPE trial_status AS ENUM ('queued', 'running', 'paused', 'stopped', 'succeeded', 'failed', 'cancelled');
CREATE TABLE trial (
    id              uuid         PRIMARY KEY DEFAULT gen_random_uuid(),
    organisation_id uuid         NOT NULL REFERENCES organisation,
    experiment_id   uuid         NOT NULL REFERENCES experiment ON DELETE CASCADE,
    number          integer      NOT NULL,
    template        text         NOT NULL,
    source          text         NOT NULL,             -- the template's YAML
    hyperparameters jsonb        NOT NULL,
    seed            bigint       NOT NULL,
    status          trial_status NOT NULL DEFAULT 'queued',
    rung            integer      NOT NULL DEFAULT 0,   -- the rung that runs or ran last
    resource        double precision NOT NULL DEFAULT 0,  -- units of its template's resource done (epochs, rounds)
    finished        boolean      NOT NULL DEFAULT false,  -- no further training would help (early stop or full length)
    score           double precision,                  -- on the validation split, larger is better
    seconds         double precision NOT NULL DEFAULT 0,
    metrics         jsonb        NOT NULL DEFAULT '{}',
    problem         jsonb,
    created_at      timestamptz  NOT NULL DEFAULT now(),
    UNIQUE (experiment_id, number)
);
CALL make_tenant_table('trial', 'SELECT, INSERT, UPDATE, DELETE');

CREATE TABLE checkpoint (
    trial_id        uuid        NOT NULL REFERENCES trial ON DELETE CASCADE,
    sequence        integer     NOT NULL,
    organisation_id uuid        NOT NULL REFERENCES organisation,
    rung            integer     NOT NULL,
    resource        double precision NOT NULL,
    blob            bytea       NOT NULL REFERENCES blob,
    created_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (trial_id, sequence)
);
CREATE INDEX checkpoint_by_blob ON checkpoint (blob);
CALL make_tenant_table('checkpoint', 'SELECT, INSERT, DELETE');
CALL open_to_system('checkpoint', 'SELECT');

-- `sequence` is taken from experiment.event_count under that row's lock, so a reader who has n has all before n.
CREATE TABLE experiment_event (
    experiment_id   uuid        NOT NULL REFERENCES experiment ON DELETE CASCADE,
    sequence        bigint      NOT NULL,
    organisation_id uuid        NOT NULL REFERENCES organisation,
    kind            text        NOT NULL CHECK (kind IN ('progress', 'metric', 'log', 'status')),
    data            jsonb       NOT NULL,
    at              timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (experiment_id, sequence)
);
CALL make_tenant_table('experiment_event', 'SELECT, INSERT, DELETE');
