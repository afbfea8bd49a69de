-- 0006_service.sql: the role that api, worker and serve log in as.
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
