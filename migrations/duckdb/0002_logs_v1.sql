-- Tables of projection logs, version 1 (docs/schema.md).
CREATE TABLE store.logs_v1 (
  entry_offset UBIGINT,
  row UINTEGER,
  id UINTEGER,
  resource_id UINTEGER,
  scope_id UINTEGER,
  resource_key UBIGINT,
  scope_key UBIGINT,
  service_name VARCHAR,
  time TIMESTAMP_NS,
  observed_time TIMESTAMP_NS,
  has_time BOOLEAN,
  severity_number INTEGER,
  severity_text VARCHAR,
  body VARCHAR,
  body_type UTINYINT,
  body_ser BLOB,
  event_name VARCHAR,
  trace_id UUID,
  span_id UBIGINT,
  zero_ids UTINYINT,
  flags UINTEGER,
  dropped_attributes_count UINTEGER,
  attributes MAP(VARCHAR, VARCHAR),
  attribute_types UTINYINT[],
  attribute_ser BLOB[]
);

CREATE TABLE store.logs_resources_v1 (
  resource_key UBIGINT,
  service_name VARCHAR,
  schema_url VARCHAR,
  dropped_attributes_count UINTEGER,
  attributes MAP(VARCHAR, VARCHAR),
  attribute_types UTINYINT[],
  attribute_ser BLOB[]
);
CREATE TABLE store.logs_scopes_v1 (
  scope_key UBIGINT,
  name VARCHAR,
  version VARCHAR,
  schema_url VARCHAR,
  dropped_attributes_count UINTEGER,
  attributes MAP(VARCHAR, VARCHAR),
  attribute_types UTINYINT[],
  attribute_ser BLOB[]
);

-- Rows new in the open transaction; empty after every commit.
CREATE TABLE store.logs_resources_staged_v1 (
  resource_key UBIGINT,
  service_name VARCHAR,
  schema_url VARCHAR,
  dropped_attributes_count UINTEGER,
  attributes MAP(VARCHAR, VARCHAR),
  attribute_types UTINYINT[],
  attribute_ser BLOB[]
);
CREATE TABLE store.logs_scopes_staged_v1 (
  scope_key UBIGINT,
  name VARCHAR,
  version VARCHAR,
  schema_url VARCHAR,
  dropped_attributes_count UINTEGER,
  attributes MAP(VARCHAR, VARCHAR),
  attribute_types UTINYINT[],
  attribute_ser BLOB[]
);

-- Which set of attributes a wire id of the entry stands for; ids without attributes are left out.
CREATE TABLE store.logs_batch_resources_v1 (entry_offset UBIGINT, id UINTEGER, resource_key UBIGINT);
CREATE TABLE store.logs_batch_scopes_v1 (entry_offset UBIGINT, id UINTEGER, scope_key UBIGINT);
-- Attributes whose parent is not in the entry.
CREATE TABLE store.logs_orphan_attrs_v1 (
  entry_offset UBIGINT,
  payload_type UTINYINT,
  parent_id UINTEGER,
  key VARCHAR,
  value VARCHAR,
  type UTINYINT,
  ser BLOB
);
