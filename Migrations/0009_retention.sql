-- 0009_retention.sql: jobs and events that are of no more use are forgotten (the setting `retention`).
GRANT DELETE ON job TO slipway_system;
CREATE INDEX job_finished ON job (finished_at) WHERE finished_at IS NOT NULL;
CALL open_to_system('experiment_event', 'SELECT, DELETE');
CREATE INDEX experiment_finished ON experiment (finished_at) WHERE finished_at IS NOT NULL;
