-- A store of schema version 1, as released. Never change it: it stands for the stores out there.
PRAGMA application_id = 1097623907;
PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE event_states (
    event_id      TEXT PRIMARY KEY,
    enabled       INTEGER NOT NULL,
    next_due      REAL,
    next_run      REAL,
    anchor        REAL,
    slot_count    INTEGER NOT NULL,
    last_run      REAL,
    last_status   TEXT NOT NULL,
    run_count     INTEGER NOT NULL,
    success_count INTEGER NOT NULL,
    failure_count INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO "event_states" VALUES('morning-lights',1,1767763800.0,1767763800.0,1.76725440025000095365e+09,2,1767591000.00125,'completed',1,1,0);
CREATE TABLE events (
    event_id   TEXT PRIMARY KEY,
    origin     TEXT NOT NULL,
    definition TEXT NOT NULL
);
INSERT INTO "events" VALUES('morning-lights','file','{"event_id":"morning-lights","name":"Kitchen lights","schedule_type":"cron","schedule_config":{"expression":"30 6 * * mon-fri"},"action":{"type":"mqtt_publish","topic":"home/kitchen/light/set","message":{"state":"ON"},"qos":1},"description":"","tags":[],"enabled":true,"timezone":"Europe/Berlin","max_retries":3,"retry_delay":60.0,"retry_backoff":2.0,"retry_max_delay":3600.0,"retry_jitter":0.1,"timeout":300.0,"mode":"single","max_executions":10,"misfire":"latest","misfire_grace":null,"jitter":0.0,"starts_at":null,"ends_at":null,"max_runs":null,"on_interrupted":"rerun","created_at":"2026-01-01T08:00:00.250001Z","updated_at":"2026-01-01T08:00:00.250001Z","revision":1,"origin":"file"}');
CREATE TABLE executions (
    sequence        INTEGER PRIMARY KEY,
    execution_id    TEXT NOT NULL UNIQUE,
    event_id        TEXT NOT NULL,
    revision        INTEGER NOT NULL,
    scheduled_time  REAL NOT NULL,
    claim           INTEGER,
    status          TEXT NOT NULL,
    trigger         TEXT NOT NULL,
    start_time      REAL,
    end_time        REAL,
    retry_count     INTEGER NOT NULL,
    reason          TEXT,
    next_attempt_at REAL,
    error_message   TEXT,
    result          TEXT
);
INSERT INTO "executions" VALUES(1,'0b0e7a52-6f0e-4a4e-9a43-000000000001','morning-lights',1,1767591000.0,1,'completed','schedule',1767591000.00125,1767591000.03125,0,NULL,NULL,NULL,'{"topic":"home/kitchen/light/set"}');
INSERT INTO "executions" VALUES(2,'0b0e7a52-6f0e-4a4e-9a43-000000000002','morning-lights',1,1767677400.0,1,'pending','schedule',1767677400.0015,NULL,0,'retry',1767677460.5,'the broker is away',NULL);
CREATE INDEX events_by_origin ON events (origin, event_id);
CREATE INDEX event_states_due ON event_states (next_due, event_id)
WHERE next_due IS NOT NULL AND enabled;
CREATE UNIQUE INDEX executions_by_event
ON executions (event_id, scheduled_time, claim);
CREATE INDEX executions_by_slot ON executions (scheduled_time);
CREATE INDEX executions_unfinished ON executions (scheduled_time)
WHERE status IN ('pending', 'running');
CREATE INDEX executions_troubled ON executions (scheduled_time)
WHERE status NOT IN ('pending', 'running', 'completed');
CREATE INDEX executions_waiting ON executions (next_attempt_at, event_id, execution_id)
WHERE next_attempt_at IS NOT NULL AND status = 'pending';
COMMIT;
