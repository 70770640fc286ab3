-- Tables of projection metrics, version 1 (docs/schema.md).
CREATE TABLE store.metrics_v1 (
  entry_offset UBIGINT,
  row UINTEGER,
  id UINTEGER,
  resource_id UINTEGER,
  scope_id UINTEGER,
  resource_key UBIGINT,
  scope_key UBIGINT,
  metric_type UTINYINT,
  name VARCHAR,
  description VARCHAR,
  unit VARCHAR,
  aggregation_temporality INTEGER,
  is_monotonic BOOLEAN,
  attributes MAP(VARCHAR, VARCHAR),
  attribute_types UTINYINT[],
  attribute_ser BLOB[]
);

CREATE TABLE store.series_v1 (
  series_id UBIGINT,
  resource_key UBIGINT,
  scope_key UBIGINT,
  service_name VARCHAR,
  metric_name VARCHAR,
  metric_type UTINYINT,
  unit VARCHAR,
  description VARCHAR,
  aggregation_temporality INTEGER,
  is_monotonic BOOLEAN,
  attributes MAP(VARCHAR, VARCHAR),
  attribute_types UTINYINT[],
  attribute_ser BLOB[]
);
-- Rows new in the open transaction; empty after every commit.
CREATE TABLE store.series_staged_v1 (
  series_id UBIGINT,
  resource_key UBIGINT,
  scope_key UBIGINT,
  service_name VARCHAR,
  metric_name VARCHAR,
  metric_type UTINYINT,
  unit VARCHAR,
  description VARCHAR,
  aggregation_temporality INTEGER,
  is_monotonic BOOLEAN,
  attributes MAP(VARCHAR, VARCHAR),
  attribute_types UTINYINT[],
  attribute_ser BLOB[]
);

CREATE TABLE store.samples_v1 (
  entry_offset UBIGINT,
  row UINTEGER,
  id UINTEGER,
  parent_id UINTEGER,
  series_id UBIGINT,
  time TIMESTAMP_NS,
  start_time TIMESTAMP_NS,
  flags UINTEGER,
  value DOUBLE,
  int_value BIGINT
);
CREATE TABLE store.histograms_v1 (
  entry_offset UBIGINT,
  row UINTEGER,
  id UINTEGER,
  parent_id UINTEGER,
  series_id UBIGINT,
  time TIMESTAMP_NS,
  start_time TIMESTAMP_NS,
  flags UINTEGER,
  count UBIGINT,
  sum DOUBLE,
  min DOUBLE,
  max DOUBLE,
  bucket_counts UBIGINT[],
  explicit_bounds DOUBLE[]
);
CREATE TABLE store.exp_histograms_v1 (
  entry_offset UBIGINT,
  row UINTEGER,
  id UINTEGER,
  parent_id UINTEGER,
  series_id UBIGINT,
  time TIMESTAMP_NS,
  start_time TIMESTAMP_NS,
  flags UINTEGER,
  count UBIGINT,
  sum DOUBLE,
  min DOUBLE,
  max DOUBLE,
  scale INTEGER,
  zero_count UBIGINT,
  zero_threshold DOUBLE,
  positive_offset INTEGER,
  positive_bucket_counts UBIGINT[],
  negative_offset INTEGER,
  negative_bucket_counts UBIGINT[]
);
CREATE TABLE store.summaries_v1 (
  entry_offset UBIGINT,
  row UINTEGER,
  id UINTEGER,
  parent_id UINTEGER,
  series_id UBIGINT,
  time TIMESTAMP_NS,
  start_time TIMESTAMP_NS,
  flags UINTEGER,
  count UBIGINT,
  sum DOUBLE,
  quantiles STRUCT(quantile DOUBLE, value DOUBLE)[]
);
CREATE TABLE store.exemplars_v1 (
  entry_offset UBIGINT,
  row UINTEGER,
  payload_type UTINYINT,
  id UINTEGER,
  parent_id UINTEGER,
  series_id UBIGINT,
  time TIMESTAMP_NS,
  value DOUBLE,
  int_value BIGINT,
  trace_id UUID,
  span_id UBIGINT,
  zero_ids UTINYINT,
  attributes MAP(VARCHAR, VARCHAR),
  attribute_types UTINYINT[],
  attribute_ser BLOB[]
);

CREATE TABLE store.metrics_resources_v1 (
  resource_key UBIGINT,
  service_name VARCHAR,
  schema_url VARCHAR,
  dropped_attributes_count UINTEGER,
  attributes MAP(VARCHAR, VARCHAR),
  attribute_types UTINYINT[],
  attribute_ser BLOB[]
);
CREATE TABLE store.metrics_scopes_v1 (
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
CREATE TABLE store.metrics_resources_staged_v1 (
  resource_key UBIGINT,
  service_name VARCHAR,
  schema_url VARCHAR,
  dropped_attributes_count UINTEGER,
  attributes MAP(VARCHAR, VARCHAR),
  attribute_types UTINYINT[],
  attribute_ser BLOB[]
);
CREATE TABLE store.metrics_scopes_staged_v1 (
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
CREATE TABLE store.metrics_batch_resources_v1 (entry_offset UBIGINT, id UINTEGER, resource_key UBIGINT);
CREATE TABLE store.metrics_batch_scopes_v1 (entry_offset UBIGINT, id UINTEGER, scope_key UBIGINT);
-- Attributes whose parent is not in the entry.
CREATE TABLE store.metrics_orphan_attrs_v1 (
  entry_offset UBIGINT,
  payload_type UTINYINT,
  parent_id UINTEGER,
  key VARCHAR,
  value VARCHAR,
  type UTINYINT,
  ser BLOB
);
