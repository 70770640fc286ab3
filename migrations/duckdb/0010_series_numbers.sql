-- Points and exemplars name their series by a number of 32 bits, and what follows from it is stored as the difference (docs/schema.md).
-- A series may have several numbers, a number has one series.
CREATE TABLE store.series_numbers_v1 (series_number UINTEGER, series_id UBIGINT);
-- Rows new in the open transaction; empty after every commit.
CREATE TABLE store.series_numbers_staged_v1 (series_number UINTEGER, series_id UBIGINT);

-- In the order of first appearance: neighbours in a stream get neighbouring numbers.
INSERT INTO store.series_numbers_v1
SELECT row_number() OVER (ORDER BY first), series_id
FROM (
  SELECT series_id, min(place) AS first
  FROM (
    SELECT series_id, rowid AS place FROM store.samples_v1
    UNION ALL SELECT series_id, rowid + (1::BIGINT << 48) FROM store.histograms_v1
    UNION ALL SELECT series_id, rowid + (2::BIGINT << 48) FROM store.exp_histograms_v1
    UNION ALL SELECT series_id, rowid + (3::BIGINT << 48) FROM store.summaries_v1
    UNION ALL SELECT series_id, rowid + (4::BIGINT << 48) FROM store.exemplars_v1
  )
  WHERE series_id IS NOT NULL
  GROUP BY series_id
)
ORDER BY first;

-- The difference modulo 2^32 as a signed number.
CREATE MACRO store.difference(a, b) AS (((a::BIGINT - b::BIGINT + 2147483648) & 4294967295) - 2147483648)::INTEGER;

ALTER TABLE store.samples_v1 RENAME TO samples_before_v1;
CREATE TABLE store.samples_v1 (
  entry_offset UBIGINT,
  series_number UINTEGER,
  row_shift INTEGER,
  id_shift INTEGER,
  parent_id UINTEGER,
  time TIMESTAMP_NS,
  start_time TIMESTAMP_NS,
  flags UINTEGER,
  value DOUBLE,
  int_value BIGINT
);
INSERT INTO store.samples_v1
SELECT
  entry_offset, series_number, store.difference(series_number, row), store.difference(id, row), parent_id, time, start_time, flags,
  CASE WHEN int_value IS NULL THEN value END, int_value
FROM store.samples_before_v1
LEFT JOIN store.series_numbers_v1 USING (series_id);
DROP TABLE store.samples_before_v1;

ALTER TABLE store.histograms_v1 RENAME TO histograms_before_v1;
CREATE TABLE store.histograms_v1 (
  entry_offset UBIGINT,
  series_number UINTEGER,
  row_shift INTEGER,
  id_shift INTEGER,
  parent_id UINTEGER,
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
INSERT INTO store.histograms_v1
SELECT
  entry_offset, series_number, store.difference(series_number, row), store.difference(id, row), parent_id, time, start_time, flags,
  count, sum, min, max, bucket_counts, explicit_bounds
FROM store.histograms_before_v1
LEFT JOIN store.series_numbers_v1 USING (series_id);
DROP TABLE store.histograms_before_v1;

ALTER TABLE store.exp_histograms_v1 RENAME TO exp_histograms_before_v1;
CREATE TABLE store.exp_histograms_v1 (
  entry_offset UBIGINT,
  series_number UINTEGER,
  row_shift INTEGER,
  id_shift INTEGER,
  parent_id UINTEGER,
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
INSERT INTO store.exp_histograms_v1
SELECT
  entry_offset, series_number, store.difference(series_number, row), store.difference(id, row), parent_id, time, start_time, flags,
  count, sum, min, max, scale, zero_count, zero_threshold, positive_offset, positive_bucket_counts, negative_offset,
  negative_bucket_counts
FROM store.exp_histograms_before_v1
LEFT JOIN store.series_numbers_v1 USING (series_id);
DROP TABLE store.exp_histograms_before_v1;

ALTER TABLE store.summaries_v1 RENAME TO summaries_before_v1;
CREATE TABLE store.summaries_v1 (
  entry_offset UBIGINT,
  series_number UINTEGER,
  row_shift INTEGER,
  id_shift INTEGER,
  parent_id UINTEGER,
  time TIMESTAMP_NS,
  start_time TIMESTAMP_NS,
  flags UINTEGER,
  count UBIGINT,
  sum DOUBLE,
  quantiles STRUCT(quantile DOUBLE, value DOUBLE)[]
);
INSERT INTO store.summaries_v1
SELECT
  entry_offset, series_number, store.difference(series_number, row), store.difference(id, row), parent_id, time, start_time, flags,
  count, sum, quantiles
FROM store.summaries_before_v1
LEFT JOIN store.series_numbers_v1 USING (series_id);
DROP TABLE store.summaries_before_v1;

ALTER TABLE store.exemplars_v1 RENAME TO exemplars_before_v1;
CREATE TABLE store.exemplars_v1 (
  entry_offset UBIGINT,
  row UINTEGER,
  payload_type UTINYINT,
  id UINTEGER,
  parent_id UINTEGER,
  series_number UINTEGER,
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
INSERT INTO store.exemplars_v1
SELECT
  entry_offset, row, payload_type, id, parent_id, series_number, time, CASE WHEN int_value IS NULL THEN value END, int_value,
  trace_id, span_id, zero_ids, attributes, attribute_types, attribute_ser
FROM store.exemplars_before_v1
LEFT JOIN store.series_numbers_v1 USING (series_id);
DROP TABLE store.exemplars_before_v1;

DROP MACRO store.difference;

-- A rebuild under way has tables of the old shape: it lacks these, and begins again.
UPDATE meta.projections
SET tables = list_concat(tables, ['series_numbers_v1', 'series_numbers_staged_v1'])
WHERE projection = 'metrics' AND version = 1 AND state <> 'rebuilding';
