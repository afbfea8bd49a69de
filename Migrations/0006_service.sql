-- 0006_service.sql: the role that api, worker and serve log in as, and retired revisions that keep no model.
--
-- `slipway_service` owns nothing, is no superuser, and inherits nothing: it can only become one of the two roles above. In
-- the embedded cluster the supervisor gives it a new password at each start and keeps the owner's to itself. On a server of
-- the user's, whose roles may serve other databases too, it stays without a login.
DO $$
BEGIN
    BEGIN
        CREATE ROLE slipway_service NOLOGIN NOINHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN
        NULL;  -- another database of the cluster has made it
    END;
    GRANT slipway_app, slipway_system TO slipway_service;
END $$;

CREATE PROCEDURE open_service(password text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER ROLE slipway_service LOGIN PASSWORD %L', password);
END $$;
REVOKE ALL ON PROCEDURE open_service FROM PUBLIC;

-- A retired revision is history: it goes with the model version that it served. One that serves, or is being rolled out,
-- keeps it (`StoreError.inUse`).
ALTER TABLE deployment_revision DROP CONSTRAINT deployment_revision_model_version_id_fkey;
ALTER TABLE deployment_revision ADD CONSTRAINT deployment_revision_model_version_id_fkey
    FOREIGN KEY (model_version_id) REFERENCES model_version ON DELETE CASCADE;
