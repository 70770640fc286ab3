-- Schema normalized: the OTAP star, one view per payload type, typed and lossless (docs/schema.md).

CREATE OR REPLACE VIEW normalized.resource_attrs AS
SELECT
  entry_offset,
  parent_id,
  key,
  type,
  store.value_str(type, value) AS str,
  store.value_int(type, value) AS int,
  store.value_double(type, value) AS double,
  store.value_bool(type, value) AS bool,
  store.value_bytes(type, value) AS bytes,
  ser
FROM (
  SELECT entry_offset, parent_id, key, value, coalesce(type, 1::UTINYINT) AS type, ser
  FROM (
    SELECT
      wire.entry_offset,
      wire.id AS parent_id,
      unnest(map_keys(content.attributes)) AS key,
      unnest(map_values(content.attributes)) AS value,
      unnest(content.attribute_types) AS type,
      unnest(content.attribute_ser) AS ser
    FROM store.logs_batch_resources_v1 AS wire
    JOIN store.logs_resources_v1 AS content ON content.resource_key = wire.resource_key
  )
  UNION ALL
  SELECT entry_offset, parent_id, key, value, coalesce(type, 1::UTINYINT) AS type, ser
  FROM (
    SELECT
      wire.entry_offset,
      wire.id AS parent_id,
      unnest(map_keys(content.attributes)) AS key,
      unnest(map_values(content.attributes)) AS value,
      unnest(content.attribute_types) AS type,
      unnest(content.attribute_ser) AS ser
    FROM store.traces_batch_resources_v1 AS wire
    JOIN store.traces_resources_v1 AS content ON content.resource_key = wire.resource_key
  )
  UNION ALL
  SELECT entry_offset, parent_id, key, value, coalesce(type, 1::UTINYINT) AS type, ser
  FROM (
    SELECT
      wire.entry_offset,
      wire.id AS parent_id,
      unnest(map_keys(content.attributes)) AS key,
      unnest(map_values(content.attributes)) AS value,
      unnest(content.attribute_types) AS type,
      unnest(content.attribute_ser) AS ser
    FROM store.metrics_batch_resources_v1 AS wire
    JOIN store.metrics_resources_v1 AS content ON content.resource_key = wire.resource_key
  )
  UNION ALL
  SELECT entry_offset, parent_id, key, value, type, ser
  FROM store.logs_orphan_attrs_v1
  WHERE payload_type = 1
  UNION ALL
  SELECT entry_offset, parent_id, key, value, type, ser
  FROM store.traces_orphan_attrs_v1
  WHERE payload_type = 1
  UNION ALL
  SELECT entry_offset, parent_id, key, value, type, ser
  FROM store.metrics_orphan_attrs_v1
  WHERE payload_type = 1
);

CREATE OR REPLACE VIEW normalized.scope_attrs AS
SELECT
  entry_offset,
  parent_id,
  key,
  type,
  store.value_str(type, value) AS str,
  store.value_int(type, value) AS int,
  store.value_double(type, value) AS double,
  store.value_bool(type, value) AS bool,
  store.value_bytes(type, value) AS bytes,
  ser
FROM (
  SELECT entry_offset, parent_id, key, value, coalesce(type, 1::UTINYINT) AS type, ser
  FROM (
    SELECT
      wire.entry_offset,
      wire.id AS parent_id,
      unnest(map_keys(content.attributes)) AS key,
      unnest(map_values(content.attributes)) AS value,
      unnest(content.attribute_types) AS type,
      unnest(content.attribute_ser) AS ser
    FROM store.logs_batch_scopes_v1 AS wire
    JOIN store.logs_scopes_v1 AS content ON content.scope_key = wire.scope_key
  )
  UNION ALL
  SELECT entry_offset, parent_id, key, value, coalesce(type, 1::UTINYINT) AS type, ser
  FROM (
    SELECT
      wire.entry_offset,
      wire.id AS parent_id,
      unnest(map_keys(content.attributes)) AS key,
      unnest(map_values(content.attributes)) AS value,
      unnest(content.attribute_types) AS type,
      unnest(content.attribute_ser) AS ser
    FROM store.traces_batch_scopes_v1 AS wire
    JOIN store.traces_scopes_v1 AS content ON content.scope_key = wire.scope_key
  )
  UNION ALL
  SELECT entry_offset, parent_id, key, value, coalesce(type, 1::UTINYINT) AS type, ser
  FROM (
    SELECT
      wire.entry_offset,
      wire.id AS parent_id,
      unnest(map_keys(content.attributes)) AS key,
      unnest(map_values(content.attributes)) AS value,
      unnest(content.attribute_types) AS type,
      unnest(content.attribute_ser) AS ser
    FROM store.metrics_batch_scopes_v1 AS wire
    JOIN store.metrics_scopes_v1 AS content ON content.scope_key = wire.scope_key
  )
  UNION ALL
  SELECT entry_offset, parent_id, key, value, type, ser
  FROM store.logs_orphan_attrs_v1
  WHERE payload_type = 2
  UNION ALL
  SELECT entry_offset, parent_id, key, value, type, ser
  FROM store.traces_orphan_attrs_v1
  WHERE payload_type = 2
  UNION ALL
  SELECT entry_offset, parent_id, key, value, type, ser
  FROM store.metrics_orphan_attrs_v1
  WHERE payload_type = 2
);

CREATE OR REPLACE VIEW normalized.logs AS
SELECT
  stored.entry_offset,
  stored.row,
  stored.id,
  struct_pack(
    id := stored.resource_id,
    schema_url := coalesce(resources.schema_url, ''),
    dropped_attributes_count := coalesce(resources.dropped_attributes_count, 0::UINTEGER)
  ) AS resource,
  struct_pack(
    id := stored.scope_id,
    name := coalesce(scopes.name, ''),
    version := coalesce(scopes.version, ''),
    dropped_attributes_count := coalesce(scopes.dropped_attributes_count, 0::UINTEGER)
  ) AS scope,
  coalesce(scopes.schema_url, '') AS schema_url,
  CASE WHEN stored.has_time THEN stored.time ELSE make_timestamp_ns(0) END AS time_unix_nano,
  stored.observed_time AS observed_time_unix_nano,
  store.wire_trace_id(stored.trace_id, stored.zero_ids) AS trace_id,
  store.wire_span_id(stored.span_id, stored.zero_ids, 2) AS span_id,
  stored.severity_number,
  stored.severity_text,
  struct_pack(
    "type" := stored.body_type,
    "str" := store.value_str(stored.body_type, stored.body),
    "int" := store.value_int(stored.body_type, stored.body),
    "double" := store.value_double(stored.body_type, stored.body),
    "bool" := store.value_bool(stored.body_type, stored.body),
    "bytes" := store.value_bytes(stored.body_type, stored.body),
    "ser" := stored.body_ser
  ) AS body,
  stored.dropped_attributes_count,
  stored.flags,
  stored.event_name
FROM store.logs_v1 AS stored
LEFT JOIN store.logs_resources_v1 AS resources ON resources.resource_key = stored.resource_key
LEFT JOIN store.logs_scopes_v1 AS scopes ON scopes.scope_key = stored.scope_key;

CREATE OR REPLACE VIEW normalized.log_attrs AS
SELECT
  entry_offset,
  parent_id,
  key,
  type,
  store.value_str(type, value) AS str,
  store.value_int(type, value) AS int,
  store.value_double(type, value) AS double,
  store.value_bool(type, value) AS bool,
  store.value_bytes(type, value) AS bytes,
  ser
FROM (
  SELECT entry_offset, parent_id, key, value, coalesce(type, 1::UTINYINT) AS type, ser
  FROM (
    SELECT
      entry_offset,
      id AS parent_id,
      unnest(map_keys(attributes)) AS key,
      unnest(map_values(attributes)) AS value,
      unnest(attribute_types) AS type,
      unnest(attribute_ser) AS ser
    FROM store.logs_v1
  )
  UNION ALL
  SELECT entry_offset, parent_id, key, value, type, ser
  FROM store.logs_orphan_attrs_v1
  WHERE payload_type = 31
);

CREATE OR REPLACE VIEW normalized.spans AS
SELECT
  stored.entry_offset,
  stored.row,
  stored.id,
  struct_pack(
    id := stored.resource_id,
    schema_url := coalesce(resources.schema_url, ''),
    dropped_attributes_count := coalesce(resources.dropped_attributes_count, 0::UINTEGER)
  ) AS resource,
  struct_pack(
    id := stored.scope_id,
    name := coalesce(scopes.name, ''),
    version := coalesce(scopes.version, ''),
    dropped_attributes_count := coalesce(scopes.dropped_attributes_count, 0::UINTEGER)
  ) AS scope,
  coalesce(scopes.schema_url, '') AS schema_url,
  stored.start_time AS start_time_unix_nano,
  stored.duration_ns AS duration_time_unix_nano,
  store.wire_trace_id(stored.trace_id, stored.zero_ids) AS trace_id,
  store.wire_span_id(stored.span_id, stored.zero_ids, 2) AS span_id,
  stored.trace_state,
  store.wire_span_id(stored.parent_span_id, stored.zero_ids, 4) AS parent_span_id,
  stored.name,
  stored.kind,
  stored.dropped_attributes_count,
  stored.dropped_events_count,
  stored.dropped_links_count,
  struct_pack(code := stored.status_code, status_message := stored.status_message) AS status,
  stored.flags
FROM store.spans_v1 AS stored
LEFT JOIN store.traces_resources_v1 AS resources ON resources.resource_key = stored.resource_key
LEFT JOIN store.traces_scopes_v1 AS scopes ON scopes.scope_key = stored.scope_key;

CREATE OR REPLACE VIEW normalized.span_attrs AS
SELECT
  entry_offset,
  parent_id,
  key,
  type,
  store.value_str(type, value) AS str,
  store.value_int(type, value) AS int,
  store.value_double(type, value) AS double,
  store.value_bool(type, value) AS bool,
  store.value_bytes(type, value) AS bytes,
  ser
FROM (
  SELECT entry_offset, parent_id, key, value, coalesce(type, 1::UTINYINT) AS type, ser
  FROM (
    SELECT
      entry_offset,
      id AS parent_id,
      unnest(map_keys(attributes)) AS key,
      unnest(map_values(attributes)) AS value,
      unnest(attribute_types) AS type,
      unnest(attribute_ser) AS ser
    FROM store.spans_v1
  )
  UNION ALL
  SELECT entry_offset, parent_id, key, value, type, ser
  FROM store.traces_orphan_attrs_v1
  WHERE payload_type = 41
);

CREATE OR REPLACE VIEW normalized.span_events AS
SELECT entry_offset, id, parent_id, event.time AS time_unix_nano, event.name AS name, event.dropped_attributes_count AS dropped_attributes_count
FROM (
  SELECT entry_offset, id AS parent_id, unnest(events) AS event, unnest(event_ids) AS id
  FROM store.spans_v1
)
UNION ALL
SELECT entry_offset, id, parent_id, time, name, dropped_attributes_count
FROM store.spans_orphan_events_v1;

CREATE OR REPLACE VIEW normalized.span_event_attrs AS
SELECT
  entry_offset,
  parent_id,
  key,
  type,
  store.value_str(type, value) AS str,
  store.value_int(type, value) AS int,
  store.value_double(type, value) AS double,
  store.value_bool(type, value) AS bool,
  store.value_bytes(type, value) AS bytes,
  ser
FROM (
  SELECT entry_offset, parent_id, key, value, coalesce(type, 1::UTINYINT) AS type, ser
  FROM (
    SELECT
      entry_offset,
      parent_id,
      unnest(map_keys(child.attributes)) AS key,
      unnest(map_values(child.attributes)) AS value,
      unnest(types) AS type,
      unnest(sers) AS ser
    FROM (
      SELECT
        entry_offset,
        unnest(events) AS child,
        unnest(event_ids) AS parent_id,
        unnest(event_attribute_types) AS types,
        unnest(event_attribute_ser) AS sers
      FROM store.spans_v1
    )
  )
  UNION ALL
  SELECT entry_offset, parent_id, key, value, coalesce(type, 1::UTINYINT) AS type, ser
  FROM (
    SELECT
      entry_offset,
      id AS parent_id,
      unnest(map_keys(attributes)) AS key,
      unnest(map_values(attributes)) AS value,
      unnest(attribute_types) AS type,
      unnest(attribute_ser) AS ser
    FROM store.spans_orphan_events_v1
  )
  UNION ALL
  SELECT entry_offset, parent_id, key, value, type, ser
  FROM store.traces_orphan_attrs_v1
  WHERE payload_type = 44
);

CREATE OR REPLACE VIEW normalized.span_links AS
SELECT
  entry_offset,
  id,
  parent_id,
  store.wire_trace_id(link.trace_id, coalesce(zero_ids, 0::UTINYINT)) AS trace_id,
  store.wire_span_id(link.span_id, coalesce(zero_ids, 0::UTINYINT), 2) AS span_id,
  link.trace_state AS trace_state,
  link.dropped_attributes_count AS dropped_attributes_count,
  link.flags AS flags
FROM (
  SELECT entry_offset, id AS parent_id, unnest(links) AS link, unnest(link_ids) AS id, unnest(link_zero_ids) AS zero_ids
  FROM store.spans_v1
)
UNION ALL
SELECT
  entry_offset,
  id,
  parent_id,
  store.wire_trace_id(trace_id, zero_ids),
  store.wire_span_id(span_id, zero_ids, 2),
  trace_state,
  dropped_attributes_count,
  flags
FROM store.spans_orphan_links_v1;

CREATE OR REPLACE VIEW normalized.span_link_attrs AS
SELECT
  entry_offset,
  parent_id,
  key,
  type,
  store.value_str(type, value) AS str,
  store.value_int(type, value) AS int,
  store.value_double(type, value) AS double,
  store.value_bool(type, value) AS bool,
  store.value_bytes(type, value) AS bytes,
  ser
FROM (
  SELECT entry_offset, parent_id, key, value, coalesce(type, 1::UTINYINT) AS type, ser
  FROM (
    SELECT
      entry_offset,
      parent_id,
      unnest(map_keys(child.attributes)) AS key,
      unnest(map_values(child.attributes)) AS value,
      unnest(types) AS type,
      unnest(sers) AS ser
    FROM (
      SELECT
        entry_offset,
        unnest(links) AS child,
        unnest(link_ids) AS parent_id,
        unnest(link_attribute_types) AS types,
        unnest(link_attribute_ser) AS sers
      FROM store.spans_v1
    )
  )
  UNION ALL
  SELECT entry_offset, parent_id, key, value, coalesce(type, 1::UTINYINT) AS type, ser
  FROM (
    SELECT
      entry_offset,
      id AS parent_id,
      unnest(map_keys(attributes)) AS key,
      unnest(map_values(attributes)) AS value,
      unnest(attribute_types) AS type,
      unnest(attribute_ser) AS ser
    FROM store.spans_orphan_links_v1
  )
  UNION ALL
  SELECT entry_offset, parent_id, key, value, type, ser
  FROM store.traces_orphan_attrs_v1
  WHERE payload_type = 45
);

CREATE OR REPLACE VIEW normalized.univariate_metrics AS
SELECT
  stored.entry_offset,
  store.placed(stored.row, stored.row_place, stored.row_base) AS row,
  store.metric_id(stored.id, stored.row_place, stored.row_base, stored.id_shift) AS id,
  struct_pack(
    id := stored.resource_id,
    schema_url := coalesce(resources.schema_url, ''),
    dropped_attributes_count := coalesce(resources.dropped_attributes_count, 0::UINTEGER)
  ) AS resource,
  struct_pack(
    id := stored.scope_id,
    name := coalesce(scopes.name, ''),
    version := coalesce(scopes.version, ''),
    dropped_attributes_count := coalesce(scopes.dropped_attributes_count, 0::UINTEGER)
  ) AS scope,
  coalesce(scopes.schema_url, '') AS schema_url,
  stored.metric_type,
  stored.name,
  stored.description,
  stored.unit,
  stored.aggregation_temporality,
  stored.is_monotonic
FROM store.metrics_v1 AS stored
LEFT JOIN store.metrics_resources_v1 AS resources ON resources.resource_key = stored.resource_key
LEFT JOIN store.metrics_scopes_v1 AS scopes ON scopes.scope_key = stored.scope_key;

CREATE OR REPLACE VIEW normalized.metric_attrs AS
SELECT
  entry_offset,
  parent_id,
  key,
  type,
  store.value_str(type, value) AS str,
  store.value_int(type, value) AS int,
  store.value_double(type, value) AS double,
  store.value_bool(type, value) AS bool,
  store.value_bytes(type, value) AS bytes,
  ser
FROM (
  SELECT entry_offset, parent_id, key, value, coalesce(type, 1::UTINYINT) AS type, ser
  FROM (
    SELECT
      entry_offset,
      store.metric_id(id, row_place, row_base, id_shift) AS parent_id,
      unnest(map_keys(attributes)) AS key,
      unnest(map_values(attributes)) AS value,
      unnest(attribute_types) AS type,
      unnest(attribute_ser) AS ser
    FROM store.metrics_v1
  )
  UNION ALL
  SELECT entry_offset, parent_id, key, value, type, ser
  FROM store.metrics_orphan_attrs_v1
  WHERE payload_type = 26
);

CREATE OR REPLACE VIEW normalized.number_data_points AS
SELECT
  entry_offset,
  store.point_row(series_number, row_shift, row_place, row_base) AS row,
  store.point_id(series_number, row_shift, row_place, row_base, id_shift) AS id,
  store.placed(parent_id, parent_place, parent_base) AS parent_id,
  start_time AS start_time_unix_nano, time AS time_unix_nano,
  int_value, value AS double_value, flags
FROM store.samples_v1;

CREATE OR REPLACE VIEW normalized.summary_data_points AS
SELECT
  entry_offset,
  store.point_row(series_number, row_shift, row_place, row_base) AS row,
  store.point_id(series_number, row_shift, row_place, row_base, id_shift) AS id,
  store.placed(parent_id, parent_place, parent_base) AS parent_id,
  start_time AS start_time_unix_nano, time AS time_unix_nano,
  count, sum, quantiles AS quantile, flags
FROM store.summaries_v1;

CREATE OR REPLACE VIEW normalized.histogram_data_points AS
SELECT
  entry_offset,
  store.point_row(series_number, row_shift, row_place, row_base) AS row,
  store.point_id(series_number, row_shift, row_place, row_base, id_shift) AS id,
  store.placed(parent_id, parent_place, parent_base) AS parent_id,
  start_time AS start_time_unix_nano, time AS time_unix_nano,
  count, sum, bucket_counts, explicit_bounds, flags, min, max
FROM store.histograms_v1;

CREATE OR REPLACE VIEW normalized.exp_histogram_data_points AS
SELECT
  entry_offset,
  store.point_row(series_number, row_shift, row_place, row_base) AS row,
  store.point_id(series_number, row_shift, row_place, row_base, id_shift) AS id,
  store.placed(parent_id, parent_place, parent_base) AS parent_id,
  start_time AS start_time_unix_nano, time AS time_unix_nano,
  count, sum, scale, zero_count,
  struct_pack("offset" := positive_offset, bucket_counts := positive_bucket_counts) AS positive,
  struct_pack("offset" := negative_offset, bucket_counts := negative_bucket_counts) AS negative,
  flags, min, max, zero_threshold
FROM store.exp_histograms_v1;

CREATE OR REPLACE VIEW normalized.number_dp_attrs AS
SELECT
  entry_offset,
  parent_id,
  key,
  type,
  store.value_str(type, value) AS str,
  store.value_int(type, value) AS int,
  store.value_double(type, value) AS double,
  store.value_bool(type, value) AS bool,
  store.value_bytes(type, value) AS bytes,
  ser
FROM (
  SELECT entry_offset, parent_id, key, value, coalesce(type, 1::UTINYINT) AS type, ser
  FROM (
    SELECT
      point.entry_offset,
      store.point_id(point.series_number, point.row_shift, point.row_place, point.row_base, point.id_shift) AS parent_id,
      unnest(map_keys(series.attributes)) AS key,
      unnest(map_values(series.attributes)) AS value,
      unnest(series.attribute_types) AS type,
      unnest(series.attribute_ser) AS ser
    FROM store.samples_v1 AS point
    JOIN store.series_numbers_v1 AS numbers ON numbers.series_number = point.series_number
    JOIN store.series_v1 AS series ON series.series_id = numbers.series_id
    WHERE point.id_shift IS NOT NULL
  )
  UNION ALL
  SELECT entry_offset, parent_id, key, value, type, ser
  FROM store.metrics_orphan_attrs_v1
  WHERE payload_type = 15
);

CREATE OR REPLACE VIEW normalized.summary_dp_attrs AS
SELECT
  entry_offset,
  parent_id,
  key,
  type,
  store.value_str(type, value) AS str,
  store.value_int(type, value) AS int,
  store.value_double(type, value) AS double,
  store.value_bool(type, value) AS bool,
  store.value_bytes(type, value) AS bytes,
  ser
FROM (
  SELECT entry_offset, parent_id, key, value, coalesce(type, 1::UTINYINT) AS type, ser
  FROM (
    SELECT
      point.entry_offset,
      store.point_id(point.series_number, point.row_shift, point.row_place, point.row_base, point.id_shift) AS parent_id,
      unnest(map_keys(series.attributes)) AS key,
      unnest(map_values(series.attributes)) AS value,
      unnest(series.attribute_types) AS type,
      unnest(series.attribute_ser) AS ser
    FROM store.summaries_v1 AS point
    JOIN store.series_numbers_v1 AS numbers ON numbers.series_number = point.series_number
    JOIN store.series_v1 AS series ON series.series_id = numbers.series_id
    WHERE point.id_shift IS NOT NULL
  )
  UNION ALL
  SELECT entry_offset, parent_id, key, value, type, ser
  FROM store.metrics_orphan_attrs_v1
  WHERE payload_type = 16
);

CREATE OR REPLACE VIEW normalized.histogram_dp_attrs AS
SELECT
  entry_offset,
  parent_id,
  key,
  type,
  store.value_str(type, value) AS str,
  store.value_int(type, value) AS int,
  store.value_double(type, value) AS double,
  store.value_bool(type, value) AS bool,
  store.value_bytes(type, value) AS bytes,
  ser
FROM (
  SELECT entry_offset, parent_id, key, value, coalesce(type, 1::UTINYINT) AS type, ser
  FROM (
    SELECT
      point.entry_offset,
      store.point_id(point.series_number, point.row_shift, point.row_place, point.row_base, point.id_shift) AS parent_id,
      unnest(map_keys(series.attributes)) AS key,
      unnest(map_values(series.attributes)) AS value,
      unnest(series.attribute_types) AS type,
      unnest(series.attribute_ser) AS ser
    FROM store.histograms_v1 AS point
    JOIN store.series_numbers_v1 AS numbers ON numbers.series_number = point.series_number
    JOIN store.series_v1 AS series ON series.series_id = numbers.series_id
    WHERE point.id_shift IS NOT NULL
  )
  UNION ALL
  SELECT entry_offset, parent_id, key, value, type, ser
  FROM store.metrics_orphan_attrs_v1
  WHERE payload_type = 17
);

CREATE OR REPLACE VIEW normalized.exp_histogram_dp_attrs AS
SELECT
  entry_offset,
  parent_id,
  key,
  type,
  store.value_str(type, value) AS str,
  store.value_int(type, value) AS int,
  store.value_double(type, value) AS double,
  store.value_bool(type, value) AS bool,
  store.value_bytes(type, value) AS bytes,
  ser
FROM (
  SELECT entry_offset, parent_id, key, value, coalesce(type, 1::UTINYINT) AS type, ser
  FROM (
    SELECT
      point.entry_offset,
      store.point_id(point.series_number, point.row_shift, point.row_place, point.row_base, point.id_shift) AS parent_id,
      unnest(map_keys(series.attributes)) AS key,
      unnest(map_values(series.attributes)) AS value,
      unnest(series.attribute_types) AS type,
      unnest(series.attribute_ser) AS ser
    FROM store.exp_histograms_v1 AS point
    JOIN store.series_numbers_v1 AS numbers ON numbers.series_number = point.series_number
    JOIN store.series_v1 AS series ON series.series_id = numbers.series_id
    WHERE point.id_shift IS NOT NULL
  )
  UNION ALL
  SELECT entry_offset, parent_id, key, value, type, ser
  FROM store.metrics_orphan_attrs_v1
  WHERE payload_type = 18
);

CREATE OR REPLACE VIEW normalized.number_dp_exemplars AS
SELECT
  entry_offset,
  id,
  parent_id,
  time AS time_unix_nano,
  int_value,
  value AS double_value,
  store.wire_span_id(span_id, zero_ids, 2) AS span_id,
  store.wire_trace_id(trace_id, zero_ids) AS trace_id
FROM store.exemplars_v1
WHERE payload_type = 19;

CREATE OR REPLACE VIEW normalized.number_dp_exemplar_attrs AS
SELECT
  entry_offset,
  parent_id,
  key,
  type,
  store.value_str(type, value) AS str,
  store.value_int(type, value) AS int,
  store.value_double(type, value) AS double,
  store.value_bool(type, value) AS bool,
  store.value_bytes(type, value) AS bytes,
  ser
FROM (
  SELECT entry_offset, parent_id, key, value, coalesce(type, 1::UTINYINT) AS type, ser
  FROM (
    SELECT
      entry_offset,
      id AS parent_id,
      unnest(map_keys(attributes)) AS key,
      unnest(map_values(attributes)) AS value,
      unnest(attribute_types) AS type,
      unnest(attribute_ser) AS ser
    FROM store.exemplars_v1
    WHERE payload_type = 19
  )
  UNION ALL
  SELECT entry_offset, parent_id, key, value, type, ser
  FROM store.metrics_orphan_attrs_v1
  WHERE payload_type = 22
);

CREATE OR REPLACE VIEW normalized.histogram_dp_exemplars AS
SELECT
  entry_offset,
  id,
  parent_id,
  time AS time_unix_nano,
  int_value,
  value AS double_value,
  store.wire_span_id(span_id, zero_ids, 2) AS span_id,
  store.wire_trace_id(trace_id, zero_ids) AS trace_id
FROM store.exemplars_v1
WHERE payload_type = 20;

CREATE OR REPLACE VIEW normalized.histogram_dp_exemplar_attrs AS
SELECT
  entry_offset,
  parent_id,
  key,
  type,
  store.value_str(type, value) AS str,
  store.value_int(type, value) AS int,
  store.value_double(type, value) AS double,
  store.value_bool(type, value) AS bool,
  store.value_bytes(type, value) AS bytes,
  ser
FROM (
  SELECT entry_offset, parent_id, key, value, coalesce(type, 1::UTINYINT) AS type, ser
  FROM (
    SELECT
      entry_offset,
      id AS parent_id,
      unnest(map_keys(attributes)) AS key,
      unnest(map_values(attributes)) AS value,
      unnest(attribute_types) AS type,
      unnest(attribute_ser) AS ser
    FROM store.exemplars_v1
    WHERE payload_type = 20
  )
  UNION ALL
  SELECT entry_offset, parent_id, key, value, type, ser
  FROM store.metrics_orphan_attrs_v1
  WHERE payload_type = 23
);

CREATE OR REPLACE VIEW normalized.exp_histogram_dp_exemplars AS
SELECT
  entry_offset,
  id,
  parent_id,
  time AS time_unix_nano,
  int_value,
  value AS double_value,
  store.wire_span_id(span_id, zero_ids, 2) AS span_id,
  store.wire_trace_id(trace_id, zero_ids) AS trace_id
FROM store.exemplars_v1
WHERE payload_type = 21;

CREATE OR REPLACE VIEW normalized.exp_histogram_dp_exemplar_attrs AS
SELECT
  entry_offset,
  parent_id,
  key,
  type,
  store.value_str(type, value) AS str,
  store.value_int(type, value) AS int,
  store.value_double(type, value) AS double,
  store.value_bool(type, value) AS bool,
  store.value_bytes(type, value) AS bytes,
  ser
FROM (
  SELECT entry_offset, parent_id, key, value, coalesce(type, 1::UTINYINT) AS type, ser
  FROM (
    SELECT
      entry_offset,
      id AS parent_id,
      unnest(map_keys(attributes)) AS key,
      unnest(map_values(attributes)) AS value,
      unnest(attribute_types) AS type,
      unnest(attribute_ser) AS ser
    FROM store.exemplars_v1
    WHERE payload_type = 21
  )
  UNION ALL
  SELECT entry_offset, parent_id, key, value, type, ser
  FROM store.metrics_orphan_attrs_v1
  WHERE payload_type = 24
);
