-- What the materializer knows about itself. Rows of telemetry live in schema store; main and normalized are views over it.
CREATE SCHEMA IF NOT EXISTS store;
CREATE SCHEMA IF NOT EXISTS normalized;

-- The checkpoint of each version of each projection, written in the transaction of the rows it stands for.
CREATE TABLE meta.projections (
  projection VARCHAR NOT NULL,
  version UINTEGER NOT NULL,
  -- Physical tables in schema store, dropped with the version.
  tables VARCHAR[] NOT NULL,
  log_uuid VARCHAR NOT NULL,
  -- All log entries below are in the tables.
  next_offset UBIGINT NOT NULL,
  -- 'serving': the views show it. 'building': it catches up while an older version serves.
  state VARCHAR NOT NULL
);

-- Log entries that could not become rows. They stay in the log; a replay from scratch tries them again.
CREATE TABLE meta.quarantine (
  entry_offset UBIGINT NOT NULL,
  -- '*' when the entry belongs to no projection.
  projection VARCHAR NOT NULL,
  version UINTEGER NOT NULL,
  reason VARCHAR NOT NULL,
  stream_id UBIGINT NOT NULL,
  quarantined_at TIMESTAMP_NS NOT NULL
);
