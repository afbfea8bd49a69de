-- 0001_organisation.sql: roles, tenants and keys.
--
-- Every transaction of the platform runs as one of two roles. `slipway_app` does tenant work: row security shows it
-- the rows of the organisation that the transaction names in `slipway.organisation`, and no others. `slipway_system`
-- claims, sweeps, looks up keys and collects garbage, through the narrow policies written beside each table.
DO $$
DECLARE wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['slipway_app', 'slipway_system'] LOOP
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS', wanted);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;  -- roles belong to the cluster: another database of it has made them
        END;
        EXECUTE format('GRANT %I TO current_user', wanted);
        EXECUTE format('GRANT USAGE ON SCHEMA public TO %I', wanted);
    END LOOP;
END $$;

-- The organisation that this transaction works for; NULL when it named none, which matches no row.
CREATE FUNCTION current_organisation() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('slipway.organisation', true), '')::uuid;

-- Makes a table a tenant's: forced row security by organisation_id, and the given rights for the tenant role.
CREATE PROCEDURE make_tenant_table(name regclass, rights text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', name);
    EXECUTE format('CREATE POLICY tenant ON %s TO slipway_app USING (organisation_id = current_organisation())', name);
    EXECUTE format('GRANT %s ON %s TO slipway_app', rights, name);
END $$;

-- Lets the system role see (and, with the rights, change) every organisation's rows of a table.
CREATE PROCEDURE open_to_system(name regclass, rights text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE POLICY system ON %s TO slipway_system USING (true)', name);
    EXECUTE format('GRANT %s ON %s TO slipway_system', rights, name);
END $$;

CREATE TABLE organisation (
    id         uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    name       text        NOT NULL UNIQUE CHECK (name <> ''),
    created_at timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE organisation ENABLE ROW LEVEL SECURITY;
ALTER TABLE organisation FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON organisation TO slipway_app USING (id = current_organisation());
GRANT SELECT ON organisation TO slipway_app;
CALL open_to_system('organisation', 'SELECT, INSERT');

-- A key is `slip_<public_id>_<secret>`; only the SHA-256 of the whole is kept (256 random bits need no slow hash).
CREATE TABLE api_key (
    id              uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    organisation_id uuid        NOT NULL REFERENCES organisation,
    name            text        NOT NULL CHECK (name <> ''),
    public_id       text        NOT NULL UNIQUE,
    digest          bytea       NOT NULL CHECK (length(digest) = 32),
    scopes          text[]      NOT NULL CHECK (cardinality(scopes) > 0
                                    AND scopes <@ ARRAY['platform', 'admin', 'read', 'write', 'predict']),
    created_at      timestamptz NOT NULL DEFAULT now(),
    expires_at      timestamptz,
    revoked_at      timestamptz
);
CREATE INDEX api_key_by_organisation ON api_key (organisation_id, created_at, id);
CALL make_tenant_table('api_key', 'SELECT, INSERT, UPDATE');
CALL open_to_system('api_key', 'SELECT, INSERT, UPDATE');

-- Append-only: the application's roles can neither change nor remove a line.
CREATE TABLE audit_entry (
    id              bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organisation_id uuid        NOT NULL REFERENCES organisation,
    api_key_id      uuid        REFERENCES api_key,
    action          text        NOT NULL,
    object          text        NOT NULL,
    request_id      text        NOT NULL,
    at              timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX audit_entry_by_organisation ON audit_entry (organisation_id, id);
CALL make_tenant_table('audit_entry', 'SELECT, INSERT');
CALL open_to_system('audit_entry', 'INSERT');

-- The answer to a POST that creates, kept for 24 hours. It is written by the transaction that creates, under an advisory
-- lock of the key, so a row is there when and only when the creation was committed.
CREATE TABLE idempotency_key (
    organisation_id uuid        NOT NULL REFERENCES organisation,
    route           text        NOT NULL,
    key             text        NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    body_sha256     bytea       NOT NULL,
    status          smallint    NOT NULL,
    location        text,
    response        text        NOT NULL,   -- JSON, byte for byte
    created_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organisation_id, route, key)
);
CREATE INDEX idempotency_key_by_age ON idempotency_key (created_at);
CALL make_tenant_table('idempotency_key', 'SELECT, INSERT, UPDATE, DELETE');
CALL open_to_system('idempotency_key', 'SELECT, INSERT, UPDATE, DELETE');
