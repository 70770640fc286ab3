-- Schema main: what people and dashboards query (docs/schema.md).
CREATE OR REPLACE VIEW main.logs AS
SELECT
  stored.entry_offset,
  stored.row,
  stored.time,
  stored.observed_time,
  stored.service_name,
  stored.severity_number,
  stored.severity_text,
  stored.body,
  CASE stored.body_type
    WHEN 0 THEN 'empty'
    WHEN 1 THEN 'str'
    WHEN 2 THEN 'int'
    WHEN 3 THEN 'double'
    WHEN 4 THEN 'bool'
    WHEN 5 THEN 'map'
    WHEN 6 THEN 'slice'
    WHEN 7 THEN 'bytes'
    ELSE stored.body_type::VARCHAR
  END AS body_type,
  stored.event_name,
  stored.trace_id,
  stored.span_id,
  stored.flags,
  stored.dropped_attributes_count,
  stored.attributes,
  resources.attributes AS resource_attributes,
  scopes.attributes AS scope_attributes,
  coalesce(scopes.name, '') AS scope_name,
  coalesce(scopes.version, '') AS scope_version,
  coalesce(resources.schema_url, '') AS resource_schema_url,
  coalesce(scopes.schema_url, '') AS scope_schema_url
FROM store.logs_v1 AS stored
LEFT JOIN store.logs_resources_v1 AS resources ON resources.resource_key = stored.resource_key
LEFT JOIN store.logs_scopes_v1 AS scopes ON scopes.scope_key = stored.scope_key;

CREATE OR REPLACE VIEW main.spans AS
SELECT
  stored.entry_offset,
  stored.row,
  stored.trace_id,
  stored.span_id,
  stored.parent_span_id,
  stored.trace_state,
  stored.name,
  CASE stored.kind
    WHEN 0 THEN 'unspecified'
    WHEN 1 THEN 'internal'
    WHEN 2 THEN 'server'
    WHEN 3 THEN 'client'
    WHEN 4 THEN 'producer'
    WHEN 5 THEN 'consumer'
    ELSE stored.kind::VARCHAR
  END AS kind,
  stored.start_time,
  stored.end_time,
  stored.duration_ns,
  CASE stored.status_code
    WHEN 0 THEN 'unset'
    WHEN 1 THEN 'ok'
    WHEN 2 THEN 'error'
    ELSE stored.status_code::VARCHAR
  END AS status_code,
  stored.status_message,
  stored.service_name,
  stored.flags,
  stored.attributes,
  resources.attributes AS resource_attributes,
  scopes.attributes AS scope_attributes,
  coalesce(scopes.name, '') AS scope_name,
  coalesce(scopes.version, '') AS scope_version,
  coalesce(resources.schema_url, '') AS resource_schema_url,
  coalesce(scopes.schema_url, '') AS scope_schema_url,
  stored.events,
  stored.links,
  stored.dropped_attributes_count,
  stored.dropped_events_count,
  stored.dropped_links_count
FROM store.spans_v1 AS stored
LEFT JOIN store.traces_resources_v1 AS resources ON resources.resource_key = stored.resource_key
LEFT JOIN store.traces_scopes_v1 AS scopes ON scopes.scope_key = stored.scope_key;

CREATE OR REPLACE VIEW main.series AS
SELECT
  stored.series_id,
  stored.metric_name,
  CASE stored.metric_type
    WHEN 0 THEN 'empty'
    WHEN 1 THEN 'gauge'
    WHEN 2 THEN 'sum'
    WHEN 3 THEN 'histogram'
    WHEN 4 THEN 'exponential_histogram'
    WHEN 5 THEN 'summary'
    ELSE stored.metric_type::VARCHAR
  END AS type,
  stored.unit,
  stored.description,
  CASE stored.aggregation_temporality
    WHEN 0 THEN 'unspecified'
    WHEN 1 THEN 'delta'
    WHEN 2 THEN 'cumulative'
    ELSE stored.aggregation_temporality::VARCHAR
  END AS temporality,
  stored.is_monotonic,
  stored.service_name,
  stored.attributes,
  coalesce(resources.attributes, MAP {}::MAP(VARCHAR, VARCHAR)) AS resource_attributes,
  coalesce(scopes.attributes, MAP {}::MAP(VARCHAR, VARCHAR)) AS scope_attributes,
  coalesce(scopes.name, '') AS scope_name,
  coalesce(scopes.version, '') AS scope_version,
  coalesce(resources.schema_url, '') AS resource_schema_url,
  coalesce(scopes.schema_url, '') AS scope_schema_url,
  stored.resource_key,
  stored.scope_key
FROM store.series_v1 AS stored
LEFT JOIN store.metrics_resources_v1 AS resources ON resources.resource_key = stored.resource_key
LEFT JOIN store.metrics_scopes_v1 AS scopes ON scopes.scope_key = stored.scope_key;

-- Each point has a number of a series, and each number a series.
CREATE OR REPLACE VIEW main.samples AS
SELECT
  entry_offset,
  store.point_row(series_number, row_shift, row_place, row_base) AS row,
  series_id,
  time,
  start_time,
  store.number_value(value, int_value) AS value,
  int_value,
  flags
FROM store.samples_v1
JOIN store.series_numbers_v1 USING (series_number);

CREATE OR REPLACE VIEW main.histograms AS
SELECT
  entry_offset, store.point_row(series_number, row_shift, row_place, row_base) AS row, series_id, time, start_time,
  count, sum, min, max, bucket_counts, explicit_bounds, flags
FROM store.histograms_v1
JOIN store.series_numbers_v1 USING (series_number);

CREATE OR REPLACE VIEW main.exp_histograms AS
SELECT
  entry_offset, store.point_row(series_number, row_shift, row_place, row_base) AS row, series_id, time, start_time,
  count, sum, min, max, scale, zero_count, zero_threshold,
  positive_offset, positive_bucket_counts, negative_offset, negative_bucket_counts, flags
FROM store.exp_histograms_v1
JOIN store.series_numbers_v1 USING (series_number);

CREATE OR REPLACE VIEW main.summaries AS
SELECT
  entry_offset, store.point_row(series_number, row_shift, row_place, row_base) AS row, series_id, time, start_time,
  count, sum, quantiles, flags
FROM store.summaries_v1
JOIN store.series_numbers_v1 USING (series_number);

CREATE OR REPLACE VIEW main.exemplars AS
SELECT
  entry_offset, row, series_id, time, store.number_value(value, int_value) AS value, int_value, trace_id, span_id, attributes
FROM store.exemplars_v1
LEFT JOIN store.series_numbers_v1 USING (series_number);

CREATE OR REPLACE VIEW main.metrics AS
SELECT
  samples.time,
  series.metric_name,
  samples.value,
  series.service_name,
  series.attributes,
  series.type,
  series.unit,
  series.temporality,
  series.is_monotonic,
  samples.start_time,
  samples.int_value,
  samples.flags,
  samples.series_id,
  series.description,
  series.resource_attributes,
  series.scope_attributes,
  series.scope_name,
  series.scope_version,
  series.resource_schema_url,
  series.scope_schema_url,
  samples.entry_offset,
  samples.row
FROM main.samples AS samples
LEFT JOIN main.series AS series ON series.series_id = samples.series_id;

-- Resources and scopes of all signals: the key is a hash of the content, so equal ones are one row.
CREATE OR REPLACE VIEW main.resources AS
SELECT DISTINCT ON (resource_key) resource_key, service_name, schema_url, dropped_attributes_count, attributes
FROM (FROM store.logs_resources_v1 UNION ALL FROM store.traces_resources_v1 UNION ALL FROM store.metrics_resources_v1);

CREATE OR REPLACE VIEW main.scopes AS
SELECT DISTINCT ON (scope_key) scope_key, name, version, schema_url, dropped_attributes_count, attributes
FROM (FROM store.logs_scopes_v1 UNION ALL FROM store.traces_scopes_v1 UNION ALL FROM store.metrics_scopes_v1);
