-- 0005_model.sql: models, their versions and files, and the deployments that serve them.
CREATE TABLE model (
    id              uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    organisation_id uuid        NOT NULL REFERENCES organisation,
    project_id      uuid        NOT NULL REFERENCES project,
    name            text        NOT NULL CHECK (name <> ''),
    task            text        NOT NULL,
    next_version    integer     NOT NULL DEFAULT 1,
    created_at      timestamptz NOT NULL DEFAULT now(),
    UNIQUE (project_id, name)
);
CREATE INDEX model_listing ON model (project_id, created_at, id);
CALL make_tenant_table('model', 'SELECT, INSERT, UPDATE, DELETE');

CREATE TABLE model_version (
    id              uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    organisation_id uuid        NOT NULL REFERENCES organisation,
    model_id        uuid        NOT NULL REFERENCES model ON DELETE CASCADE,
    number          integer     NOT NULL,
    experiment_id   uuid        NOT NULL UNIQUE REFERENCES experiment,  -- one model version an experiment
    task            text        NOT NULL,
    classes         jsonb       NOT NULL,  -- [name] in the model's order
    inputs          jsonb       NOT NULL,
    metrics         jsonb       NOT NULL,
    lineage         jsonb       NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    UNIQUE (model_id, number)
);
ALTER TABLE experiment ADD FOREIGN KEY (model_version_id) REFERENCES model_version ON DELETE SET NULL;
CALL make_tenant_table('model_version', 'SELECT, INSERT, DELETE');
CALL open_to_system('model_version', 'SELECT');

CREATE TABLE model_file (
    model_version_id uuid   NOT NULL REFERENCES model_version ON DELETE CASCADE,
    name             text   NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9._-]*$'),
    organisation_id  uuid   NOT NULL REFERENCES organisation,
    blob             bytea  NOT NULL REFERENCES blob,
    bytes            bigint NOT NULL,
    PRIMARY KEY (model_version_id, name)
);
CREATE INDEX model_file_by_blob ON model_file (blob);
CALL make_tenant_table('model_file', 'SELECT, INSERT, DELETE');
CALL open_to_system('model_file', 'SELECT');

-- `revision` is the one that serves (NULL until the first is warm).
CREATE TYPE deployment_status AS ENUM ('deploying', 'ready', 'failed', 'stopped');
CREATE TABLE deployment (
    id              uuid              PRIMARY KEY DEFAULT gen_random_uuid(),
    organisation_id uuid              NOT NULL REFERENCES organisation,
    project_id      uuid              NOT NULL REFERENCES project,
    name            text              NOT NULL CHECK (name <> ''),
    status          deployment_status NOT NULL DEFAULT 'deploying',
    revision        integer,
    next_revision   integer           NOT NULL DEFAULT 1,
    problem         jsonb,
    created_at      timestamptz       NOT NULL DEFAULT now(),
    UNIQUE (organisation_id, name)
);
CREATE INDEX deployment_listing ON deployment (project_id, created_at, id);
CALL make_tenant_table('deployment', 'SELECT, INSERT, UPDATE, DELETE');
CALL open_to_system('deployment', 'SELECT');

CREATE TYPE revision_status AS ENUM ('deploying', 'ready', 'failed', 'retired');
CREATE TABLE deployment_revision (
    deployment_id    uuid            NOT NULL REFERENCES deployment ON DELETE CASCADE,
    number           integer         NOT NULL,
    organisation_id  uuid            NOT NULL REFERENCES organisation,
    model_version_id uuid            NOT NULL REFERENCES model_version,
    status           revision_status NOT NULL DEFAULT 'deploying',
    problem          jsonb,
    created_at       timestamptz     NOT NULL DEFAULT now(),
    PRIMARY KEY (deployment_id, number)
);
CREATE INDEX deployment_revision_of_model ON deployment_revision (model_version_id);
CALL make_tenant_table('deployment_revision', 'SELECT, INSERT, UPDATE, DELETE');
CALL open_to_system('deployment_revision', 'SELECT');
