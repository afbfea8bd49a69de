-- 0011_fine_tuning.sql: experiments that go on from an imported model.
--
-- `base` is what was asked for and stays as it was; the key keeps the version's files while the experiment runs.
ALTER TABLE experiment
    ADD COLUMN base            jsonb,  -- {model_version, head, frozen, scaling}
    ADD COLUMN base_version_id uuid,
    ADD CONSTRAINT experiment_base_version_id_fkey
        FOREIGN KEY (organisation_id, base_version_id) REFERENCES model_version (organisation_id, id)
        ON DELETE SET NULL (base_version_id);
CREATE INDEX experiment_by_base ON experiment (base_version_id) WHERE base_version_id IS NOT NULL;
