-- 0008_tenant_keys.sql: a row can refer to rows of its own organisation only.
--
-- Row security hides other tenants' rows from queries, but foreign keys look past it. So every key between tenants' tables
-- names the organisation too, and a wrong query can't make a row that points across. The constraints keep their names.
ALTER TABLE api_key         ADD UNIQUE (organisation_id, id);
ALTER TABLE project         ADD UNIQUE (organisation_id, id);
ALTER TABLE dataset         ADD UNIQUE (organisation_id, id);
ALTER TABLE dataset_version ADD UNIQUE (organisation_id, dataset_id, number);
ALTER TABLE experiment      ADD UNIQUE (organisation_id, id);
ALTER TABLE trial           ADD UNIQUE (organisation_id, id);
ALTER TABLE model           ADD UNIQUE (organisation_id, id);
ALTER TABLE model_version   ADD UNIQUE (organisation_id, id);
ALTER TABLE deployment      ADD UNIQUE (organisation_id, id);

ALTER TABLE audit_entry
    DROP CONSTRAINT audit_entry_api_key_id_fkey,
    ADD CONSTRAINT audit_entry_api_key_id_fkey
        FOREIGN KEY (organisation_id, api_key_id) REFERENCES api_key (organisation_id, id);
ALTER TABLE dataset
    DROP CONSTRAINT dataset_project_id_fkey,
    ADD CONSTRAINT dataset_project_id_fkey
        FOREIGN KEY (organisation_id, project_id) REFERENCES project (organisation_id, id);
ALTER TABLE dataset_version
    DROP CONSTRAINT dataset_version_dataset_id_fkey,
    ADD CONSTRAINT dataset_version_dataset_id_fkey
        FOREIGN KEY (organisation_id, dataset_id) REFERENCES dataset (organisation_id, id) ON DELETE CASCADE;
ALTER TABLE item
    DROP CONSTRAINT item_dataset_id_fkey,
    ADD CONSTRAINT item_dataset_id_fkey
        FOREIGN KEY (organisation_id, dataset_id) REFERENCES dataset (organisation_id, id) ON DELETE CASCADE;
-- An annotation's item is of its data set, which is of its organisation: millions of rows need no wider index for it.
DROP INDEX item_in_dataset;
ALTER TABLE item ADD CONSTRAINT item_in_dataset UNIQUE (dataset_id, id);
ALTER TABLE annotation
    DROP CONSTRAINT annotation_dataset_id_fkey,
    DROP CONSTRAINT annotation_item_id_fkey,
    ADD CONSTRAINT annotation_dataset_id_fkey
        FOREIGN KEY (organisation_id, dataset_id) REFERENCES dataset (organisation_id, id) ON DELETE CASCADE,
    ADD CONSTRAINT annotation_item_id_fkey
        FOREIGN KEY (dataset_id, item_id) REFERENCES item (dataset_id, id) ON DELETE CASCADE;
ALTER TABLE rejected_item
    DROP CONSTRAINT rejected_item_dataset_id_version_fkey,
    ADD CONSTRAINT rejected_item_dataset_id_version_fkey
        FOREIGN KEY (organisation_id, dataset_id, version)
        REFERENCES dataset_version (organisation_id, dataset_id, number) ON DELETE CASCADE;
ALTER TABLE experiment
    DROP CONSTRAINT experiment_project_id_fkey,
    DROP CONSTRAINT experiment_dataset_id_fkey,
    DROP CONSTRAINT experiment_dataset_id_version_fkey,
    DROP CONSTRAINT experiment_model_version_id_fkey,
    ADD CONSTRAINT experiment_project_id_fkey
        FOREIGN KEY (organisation_id, project_id) REFERENCES project (organisation_id, id),
    ADD CONSTRAINT experiment_dataset_id_fkey
        FOREIGN KEY (organisation_id, dataset_id) REFERENCES dataset (organisation_id, id),
    ADD CONSTRAINT experiment_dataset_id_version_fkey
        FOREIGN KEY (organisation_id, dataset_id, version) REFERENCES dataset_version (organisation_id, dataset_id, number),
    ADD CONSTRAINT experiment_model_version_id_fkey
        FOREIGN KEY (organisation_id, model_version_id) REFERENCES model_version (organisation_id, id)
        ON DELETE SET NULL (model_version_id);
ALTER TABLE trial
    DROP CONSTRAINT trial_experiment_id_fkey,
    ADD CONSTRAINT trial_experiment_id_fkey
        FOREIGN KEY (organisation_id, experiment_id) REFERENCES experiment (organisation_id, id) ON DELETE CASCADE;
ALTER TABLE checkpoint
    DROP CONSTRAINT checkpoint_trial_id_fkey,
    ADD CONSTRAINT checkpoint_trial_id_fkey
        FOREIGN KEY (organisation_id, trial_id) REFERENCES trial (organisation_id, id) ON DELETE CASCADE;
ALTER TABLE experiment_event
    DROP CONSTRAINT experiment_event_experiment_id_fkey,
    ADD CONSTRAINT experiment_event_experiment_id_fkey
        FOREIGN KEY (organisation_id, experiment_id) REFERENCES experiment (organisation_id, id) ON DELETE CASCADE;
ALTER TABLE model
    DROP CONSTRAINT model_project_id_fkey,
    ADD CONSTRAINT model_project_id_fkey
        FOREIGN KEY (organisation_id, project_id) REFERENCES project (organisation_id, id);
ALTER TABLE model_version
    DROP CONSTRAINT model_version_model_id_fkey,
    DROP CONSTRAINT model_version_experiment_id_fkey,
    ADD CONSTRAINT model_version_model_id_fkey
        FOREIGN KEY (organisation_id, model_id) REFERENCES model (organisation_id, id) ON DELETE CASCADE,
    ADD CONSTRAINT model_version_experiment_id_fkey
        FOREIGN KEY (organisation_id, experiment_id) REFERENCES experiment (organisation_id, id);
ALTER TABLE model_file
    DROP CONSTRAINT model_file_model_version_id_fkey,
    ADD CONSTRAINT model_file_model_version_id_fkey
        FOREIGN KEY (organisation_id, model_version_id) REFERENCES model_version (organisation_id, id) ON DELETE CASCADE;
ALTER TABLE deployment
    DROP CONSTRAINT deployment_project_id_fkey,
    ADD CONSTRAINT deployment_project_id_fkey
        FOREIGN KEY (organisation_id, project_id) REFERENCES project (organisation_id, id);
ALTER TABLE deployment_revision
    DROP CONSTRAINT deployment_revision_deployment_id_fkey,
    DROP CONSTRAINT deployment_revision_model_version_id_fkey,
    ADD CONSTRAINT deployment_revision_deployment_id_fkey
        FOREIGN KEY (organisation_id, deployment_id) REFERENCES deployment (organisation_id, id) ON DELETE CASCADE,
    ADD CONSTRAINT deployment_revision_model_version_id_fkey
        FOREIGN KEY (organisation_id, model_version_id) REFERENCES model_version (organisation_id, id);
