import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertNormalized } from './normalized.ts';
import { metricsBatch, type Rows, STRING_LAYOUTS } from './rows.ts';
import { openStore } from './store.ts';

const TRACE = '0af7651916cd43dd8448eb211c80319c';

const METRICS: Rows = {
  univariate_metrics: [
    {
      id: 0,
      resource: { id: 0, schema_url: 'https://r', dropped_attributes_count: 1 },
      scope: { id: 0, name: 'lib', version: '1', dropped_attributes_count: 2 },
      schema_url: 'https://s',
      metric_type: 2,
      name: 'http.requests',
      description: 'Requests that were answered',
      unit: '{request}',
      aggregation_temporality: 2,
      is_monotonic: true,
    },
    {
      id: 1,
      resource: { id: 0, schema_url: 'https://r', dropped_attributes_count: 1 },
      metric_type: 1,
      name: 'cpu.temperature',
    },
    { id: 2, metric_type: 3, name: 'latency', aggregation_temporality: 1 },
    { id: 3, metric_type: 4, name: 'latency.exp', aggregation_temporality: 5 },
    { id: 4, metric_type: 5, name: 'latency.summary' },
    { metric_type: 9, name: 'nothing' },
  ],
  metric_attrs: [
    { parent_id: 0, key: 'metadata', type: 1, str: 'x' },
    { parent_id: 44, key: 'orphan', type: 3, double: 1.5 },
  ],
  number_data_points: [
    { id: 0, parent_id: 0, start_time_unix_nano: 1n, time_unix_nano: 2n, int_value: 9_007_199_254_740_993n, flags: 1 },
    { id: 1, parent_id: 0, time_unix_nano: 2n, int_value: -1n },
    { id: 2, parent_id: 1, time_unix_nano: 3n, double_value: 36.6 },
    { parent_id: 1, time_unix_nano: 4n, double_value: -0 },
    { parent_id: 1, time_unix_nano: 5n },
    { id: 5, parent_id: 77, time_unix_nano: 6n, int_value: 0n },
    { double_value: 1 },
  ],
  number_dp_attrs: [
    { parent_id: 1, key: 'code', type: 2, int: 500n },
    { parent_id: 0, key: 'code', type: 2, int: 200n },
    { parent_id: 0, key: 'method', type: 1, str: 'GET' },
    { parent_id: 5, key: 'of orphan', type: 1, str: 'point' },
    { parent_id: 66, key: 'orphan', type: 4, bool: true },
  ],
  number_dp_exemplars: [
    { id: 0, parent_id: 0, time_unix_nano: 9n, int_value: 3n, trace_id: TRACE, span_id: '0000000000000001' },
    { id: 1, parent_id: 0, double_value: 0.5, trace_id: '0'.repeat(32) },
    { parent_id: 88, int_value: 1n },
  ],
  number_dp_exemplar_attrs: [
    { parent_id: 0, key: 'user', type: 1, str: 'ann' },
    { parent_id: 9, key: 'orphan', type: 1, str: 'x' },
  ],
  histogram_data_points: [
    {
      id: 0,
      parent_id: 2,
      time_unix_nano: 1n,
      count: 3n,
      sum: 6.5,
      min: 1,
      max: 4,
      bucket_counts: [1n, 2n, 0n],
      explicit_bounds: [1, 2],
    },
    { parent_id: 2, time_unix_nano: 2n, count: 18_446_744_073_709_551_615n },
  ],
  histogram_dp_attrs: [{ parent_id: 0, key: 'le', type: 3, double: Number.POSITIVE_INFINITY }],
  histogram_dp_exemplars: [{ id: 3, parent_id: 0, double_value: Number.NEGATIVE_INFINITY }],
  histogram_dp_exemplar_attrs: [{ parent_id: 3, key: 'h', type: 0 }],
  exp_histogram_data_points: [
    {
      id: 8,
      parent_id: 3,
      count: 4n,
      sum: -1,
      scale: -3,
      zero_count: 1n,
      zero_threshold: 0.25,
      positive: { offset: -2, bucket_counts: [1n, 1n] },
      negative: { offset: 7, bucket_counts: [1n] },
    },
    { parent_id: 3 },
  ],
  exp_histogram_dp_attrs: [{ parent_id: 8, key: 'k', type: 5, ser: 'a0' }],
  exp_histogram_dp_exemplars: [{ id: 0, parent_id: 8, int_value: 5n }],
  exp_histogram_dp_exemplar_attrs: [{ parent_id: 0, key: 'e', type: 7, bytes: '' }],
  summary_data_points: [
    {
      id: 0,
      parent_id: 4,
      count: 2n,
      sum: 5,
      quantile: [
        { quantile: 0.5, value: 2 },
        { quantile: 0.99, value: 3 },
      ],
    },
    { id: 1, parent_id: 4 },
  ],
  summary_dp_attrs: [{ parent_id: 1, key: 's', type: 1, str: 't' }],
  resource_attrs: [{ parent_id: 0, key: 'service.name', type: 1, str: 'shop' }],
  scope_attrs: [{ parent_id: 0, key: 'lang', type: 1, str: 'ts' }],
};

for (const layout of STRING_LAYOUTS) {
  test(`normalized metrics give back what was decoded, ${layout} strings`, async (t) => {
    const store = await openStore(t);
    await store.commit([metricsBatch(METRICS, layout)]);
    await assertNormalized(store, METRICS);
  });
}

test('main.series names what points have in common', async (t) => {
  const store = await openStore(t);
  await store.commit([metricsBatch(METRICS)]);
  const rows = await store.rows(
    `SELECT * EXCLUDE (series_id, resource_key, scope_key) FROM series WHERE metric_name = 'http.requests' ORDER BY attributes['code']`,
  );
  const requests = {
    metric_name: 'http.requests',
    type: 'sum',
    unit: '{request}',
    description: 'Requests that were answered',
    temporality: 'cumulative',
    is_monotonic: true,
    service_name: 'shop',
    resource_attributes: [['service.name', 'shop']],
    scope_attributes: [['lang', 'ts']],
    scope_name: 'lib',
    scope_version: '1',
    resource_schema_url: 'https://r',
    scope_schema_url: 'https://s',
  };
  assert.deepEqual(rows, [
    {
      ...requests,
      attributes: [
        ['code', '200'],
        ['method', 'GET'],
      ],
    },
    { ...requests, attributes: [['code', '500']] },
  ]);
  const names = await store.rows(
    'SELECT metric_name, type, temporality, count(*) AS n FROM series GROUP BY ALL ORDER BY ALL',
  );
  assert.deepEqual(names, [
    { metric_name: '', type: 'empty', temporality: 'unspecified', n: 2n },
    { metric_name: 'cpu.temperature', type: 'gauge', temporality: 'unspecified', n: 1n },
    { metric_name: 'http.requests', type: 'sum', temporality: 'cumulative', n: 2n },
    { metric_name: 'latency', type: 'histogram', temporality: 'delta', n: 2n },
    { metric_name: 'latency.exp', type: 'exponential_histogram', temporality: '5', n: 2n },
    { metric_name: 'latency.summary', type: 'summary', temporality: 'unspecified', n: 2n },
  ]);
});

test('main.metrics joins samples with their series', async (t) => {
  const store = await openStore(t);
  await store.commit([metricsBatch(METRICS)]);
  const rows = await store.rows(
    'SELECT metric_name, service_name, time, value, int_value, attributes FROM metrics ORDER BY row',
  );
  const cpu = { metric_name: 'cpu.temperature', service_name: 'shop', attributes: [] };
  assert.deepEqual(rows, [
    {
      metric_name: 'http.requests',
      service_name: 'shop',
      time: 2n,
      value: 9_007_199_254_740_992,
      int_value: 9_007_199_254_740_993n,
      attributes: [
        ['code', '200'],
        ['method', 'GET'],
      ],
    },
    {
      metric_name: 'http.requests',
      service_name: 'shop',
      time: 2n,
      value: -1,
      int_value: -1n,
      attributes: [['code', '500']],
    },
    { ...cpu, time: 3n, value: 36.6 },
    { ...cpu, time: 4n, value: -0 },
    { ...cpu, time: 5n },
    { metric_name: '', time: 6n, value: 0, int_value: 0n, attributes: [['of orphan', 'point']] },
    { metric_name: '', time: 0n, value: 1, attributes: [] },
  ]);
});

test('main.exemplars number their rows within the batch and name the series of their point', async (t) => {
  const store = await openStore(t);
  await store.commit([metricsBatch(METRICS)]);
  const rows = await store.rows(
    'SELECT e.row, s.metric_name, e.value, e.attributes FROM exemplars e LEFT JOIN series s USING (series_id) ORDER BY e.row',
  );
  assert.deepEqual(rows, [
    { row: 0, metric_name: 'http.requests', value: 3, attributes: [['user', 'ann']] },
    { row: 1, metric_name: 'http.requests', value: 0.5, attributes: [] },
    { row: 2, value: 1, attributes: [] },
    { row: 3, metric_name: 'latency', value: Number.NEGATIVE_INFINITY, attributes: [['h', undefined]] },
    { row: 4, metric_name: 'latency.exp', value: 5, attributes: [['e', '']] },
  ]);
});

test('a summary keeps its quantiles when all their values are defaults that were not on the wire', async (t) => {
  const store = await openStore(t);
  const batch = metricsBatch({
    univariate_metrics: [{ id: 0, name: 's' }],
    summary_data_points: [{ parent_id: 0, quantile: [{ quantile: 0.5, value: 0 }] }, { parent_id: 0 }],
  });
  await store.commit([{ ...batch, summaryDataPoints: { ...batch.summaryDataPoints!, quantileValues: null } }]);
  const rows = await store.rows('SELECT quantiles FROM summaries ORDER BY row');
  assert.deepEqual(rows, [{ quantiles: [{ quantile: 0.5, value: 0 }] }, { quantiles: [] }]);
});
