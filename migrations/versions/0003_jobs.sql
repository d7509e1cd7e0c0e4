CREATE TYPE pgqueuer_status AS ENUM ('queued', 'picked', 'successful', 'exception', 'canceled', 'deleted', 'failed');

CREATE SEQUENCE pgqueuer_id_seq;

CREATE TABLE pgqueuer (
    id BIGINT DEFAULT nextval('pgqueuer_id_seq') NOT NULL,
    priority INTEGER NOT NULL,
    queue_manager_id UUID,
    created TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    heartbeat TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    execute_after TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    status pgqueuer_status NOT NULL,
    entrypoint TEXT NOT NULL,
    dedupe_key TEXT,
    payload BYTEA,
    headers JSONB,
    attempts INTEGER DEFAULT 0 NOT NULL,
    slot BIGINT,
    CONSTRAINT pk_pgqueuer PRIMARY KEY (id)
);

CREATE INDEX pgqueuer_ep_ea_idx ON pgqueuer (entrypoint, execute_after) WHERE status = 'queued';
CREATE INDEX pgqueuer_ep_prio_id_idx ON pgqueuer (entrypoint, priority DESC, id) WHERE status = 'queued';
CREATE INDEX pgqueuer_picked_heartbeat_idx ON pgqueuer (heartbeat) WHERE status = 'picked';
CREATE UNIQUE INDEX pgqueuer_picked_slot_idx ON pgqueuer (entrypoint, slot) WHERE status = 'picked' AND slot IS NOT NULL;
CREATE INDEX pgqueuer_queue_manager_id_idx ON pgqueuer (queue_manager_id) WHERE queue_manager_id IS NOT NULL;
CREATE UNIQUE INDEX pgqueuer_unique_dedupe_key ON pgqueuer (dedupe_key)
    WHERE status IN ('queued', 'picked') AND dedupe_key IS NOT NULL;

CREATE SEQUENCE pgqueuer_log_id_seq;

CREATE TABLE pgqueuer_log (
    id BIGINT DEFAULT nextval('pgqueuer_log_id_seq') NOT NULL,
    created TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    job_id BIGINT NOT NULL,
    status pgqueuer_status NOT NULL,
    priority INTEGER NOT NULL,
    entrypoint TEXT NOT NULL,
    traceback JSONB,
    aggregated BOOLEAN DEFAULT false,
    CONSTRAINT pk_pgqueuer_log PRIMARY KEY (id)
);

CREATE INDEX pgqueuer_log_job_id_status ON pgqueuer_log (job_id, created DESC);

GRANT USAGE ON SEQUENCE pgqueuer_id_seq, pgqueuer_log_id_seq TO s2b2c_app;
GRANT SELECT, INSERT, DELETE ON pgqueuer TO s2b2c_app;
GRANT UPDATE (attempts, execute_after, heartbeat, queue_manager_id, status, updated) ON pgqueuer TO s2b2c_app;
GRANT SELECT, INSERT ON pgqueuer_log TO s2b2c_app;
