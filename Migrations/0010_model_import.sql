-- 0010_model_import.sql: models that were trained elsewhere and brought here as files.
--
-- Such a model has no task, and its versions no experiment. A version begins as `importing`, with its upload; what can't be imported
-- stays readable as `failed`, with the reason.
CREATE TYPE model_version_status AS ENUM ('importing', 'ready', 'failed');
ALTER TABLE model ALTER COLUMN task DROP NOT NULL;
ALTER TABLE model_version
    ALTER COLUMN experiment_id DROP NOT NULL,
    ALTER COLUMN task DROP NOT NULL,
    ADD COLUMN status     model_version_status NOT NULL DEFAULT 'ready',
    ADD COLUMN outputs    jsonb,  -- of an imported model
    ADD COLUMN upload     bytea REFERENCES blob,
    ADD COLUMN media_type text,
    ADD COLUMN problem    jsonb,
    ADD CONSTRAINT trained_has_task CHECK ((experiment_id IS NULL) = (task IS NULL)),
    ADD CONSTRAINT importing_has_upload CHECK ((status = 'importing') = (upload IS NOT NULL)),
    ADD CONSTRAINT failed_has_problem CHECK ((status = 'failed') = (problem IS NOT NULL));
CREATE INDEX model_version_by_upload ON model_version (upload) WHERE upload IS NOT NULL;
GRANT UPDATE ON model_version TO slipway_app;

-- External data keeps the name that its model calls it by.
ALTER TABLE model_file
    DROP CONSTRAINT model_file_name_check,
    ADD CONSTRAINT model_file_name_check CHECK (name ~ '^[A-Za-z0-9_][A-Za-z0-9._-]*$');
