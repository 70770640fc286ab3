-- Tables of projection traces, version 1 (docs/schema.md).
CREATE TABLE store.spans_v1 (
  entry_offset UBIGINT,
  row UINTEGER,
  id UINTEGER,
  resource_id UINTEGER,
  scope_id UINTEGER,
  resource_key UBIGINT,
  scope_key UBIGINT,
  service_name VARCHAR,
  start_time TIMESTAMP_NS,
  end_time TIMESTAMP_NS,
  duration_ns BIGINT,
  trace_id UUID,
  span_id UBIGINT,
  parent_span_id UBIGINT,
  zero_ids UTINYINT,
  trace_state VARCHAR,
  name VARCHAR,
  kind INTEGER,
  status_code INTEGER,
  status_message VARCHAR,
  flags UINTEGER,
  dropped_attributes_count UINTEGER,
  dropped_events_count UINTEGER,
  dropped_links_count UINTEGER,
  attributes MAP(VARCHAR, VARCHAR),
  attribute_types UTINYINT[],
  attribute_ser BLOB[],
  events STRUCT(time TIMESTAMP_NS, name VARCHAR, attributes MAP(VARCHAR, VARCHAR), dropped_attributes_count UINTEGER)[],
  event_ids UINTEGER[],
  event_attribute_types UTINYINT[][],
  event_attribute_ser BLOB[][],
  links STRUCT(
    trace_id UUID,
    span_id UBIGINT,
    trace_state VARCHAR,
    flags UINTEGER,
    attributes MAP(VARCHAR, VARCHAR),
    dropped_attributes_count UINTEGER
  )[],
  link_ids UINTEGER[],
  link_attribute_types UTINYINT[][],
  link_attribute_ser BLOB[][],
  link_zero_ids UTINYINT[]
);

-- Events and links whose span is not in the entry.
CREATE TABLE store.spans_orphan_events_v1 (
  entry_offset UBIGINT,
  id UINTEGER,
  parent_id UINTEGER,
  time TIMESTAMP_NS,
  name VARCHAR,
  dropped_attributes_count UINTEGER,
  attributes MAP(VARCHAR, VARCHAR),
  attribute_types UTINYINT[],
  attribute_ser BLOB[]
);
CREATE TABLE store.spans_orphan_links_v1 (
  entry_offset UBIGINT,
  id UINTEGER,
  parent_id UINTEGER,
  trace_id UUID,
  span_id UBIGINT,
  zero_ids UTINYINT,
  trace_state VARCHAR,
  flags UINTEGER,
  dropped_attributes_count UINTEGER,
  attributes MAP(VARCHAR, VARCHAR),
  attribute_types UTINYINT[],
  attribute_ser BLOB[]
);

CREATE TABLE store.traces_resources_v1 (
  resource_key UBIGINT,
  service_name VARCHAR,
  schema_url VARCHAR,
  dropped_attributes_count UINTEGER,
  attributes MAP(VARCHAR, VARCHAR),
  attribute_types UTINYINT[],
  attribute_ser BLOB[]
);
CREATE TABLE store.traces_scopes_v1 (
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
CREATE TABLE store.traces_resources_staged_v1 (
  resource_key UBIGINT,
  service_name VARCHAR,
  schema_url VARCHAR,
  dropped_attributes_count UINTEGER,
  attributes MAP(VARCHAR, VARCHAR),
  attribute_types UTINYINT[],
  attribute_ser BLOB[]
);
CREATE TABLE store.traces_scopes_staged_v1 (
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
CREATE TABLE store.traces_batch_resources_v1 (entry_offset UBIGINT, id UINTEGER, resource_key UBIGINT);
CREATE TABLE store.traces_batch_scopes_v1 (entry_offset UBIGINT, id UINTEGER, scope_key UBIGINT);
-- Attributes whose parent is not in the entry.
CREATE TABLE store.traces_orphan_attrs_v1 (
  entry_offset UBIGINT,
  payload_type UTINYINT,
  parent_id UINTEGER,
  key VARCHAR,
  value VARCHAR,
  type UTINYINT,
  ser BLOB
);
