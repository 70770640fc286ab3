/** What OTLP requests can say and OTAP streams of the Go exporter cannot. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertNormalized } from './normalized.ts';
import { logsBatch, metricsBatch, type Row, type Rows, STRING_LAYOUTS, tracesBatch } from './rows.ts';
import { openStore } from './store.ts';

const EVENTS = 70_000;

for (const layout of STRING_LAYOUTS) {
  test(`attributes may have empty keys and no value, ${layout} strings`, async (t) => {
    const store = await openStore(t);
    const odd = [
      { parent_id: 0, key: '', type: 1, str: 'of no name' },
      { parent_id: 0, key: '', type: 0 },
      { parent_id: 0, key: 'none', type: 0 },
      { parent_id: 0, key: 'empty', type: 1, str: '' },
      { parent_id: 0, key: 'no bytes', type: 7, bytes: '' },
    ];
    const map = [
      ['', 'of no name'],
      ['', undefined],
      ['none', undefined],
      ['empty', ''],
      ['no bytes', ''],
    ];
    const root = { id: 0, resource: { id: 0 }, scope: { id: 0 } };
    const shared = { resource_attrs: odd, scope_attrs: odd };
    const logs: Rows = { logs: [{ ...root, body: { type: 0 } }], log_attrs: odd, ...shared };
    const spans: Rows = {
      spans: [root],
      span_attrs: odd,
      span_events: [{ id: 0, parent_id: 0 }],
      span_event_attrs: odd,
      span_links: [{ id: 0, parent_id: 0 }],
      span_link_attrs: odd,
      ...shared,
    };
    const metrics: Rows = {
      univariate_metrics: [{ ...root, metric_type: 1 }],
      metric_attrs: odd,
      number_data_points: [{ id: 0, parent_id: 0 }],
      number_dp_attrs: odd,
      number_dp_exemplars: [{ id: 0, parent_id: 0 }],
      number_dp_exemplar_attrs: odd,
      ...shared,
    };
    const batches = [logsBatch(logs, layout), tracesBatch(spans, layout), metricsBatch(metrics, layout)];
    await store.commit(batches);
    for (const [at, rows] of [logs, spans, metrics].entries()) await assertNormalized(store, rows, 7n + BigInt(at));
    for (const view of ['logs', 'spans', 'series']) {
      const [row] = await store.rows(`SELECT attributes, resource_attributes, scope_attributes FROM ${view}`);
      assert.deepEqual(row, { attributes: map, resource_attributes: map, scope_attributes: map }, view);
    }
    assert.deepEqual(await store.rows(`SELECT attributes[''] AS first FROM logs`), [{ first: 'of no name' }]);
  });
}

test('present zeros and absent values of histograms stay apart', async (t) => {
  const store = await openStore(t);
  const zeros = { sum: 0, min: 0, max: 0, count: 0n };
  const rows: Rows = {
    univariate_metrics: [{ id: 0, name: 'm', metric_type: 3 }],
    histogram_data_points: [
      { id: 0, parent_id: 0, ...zeros },
      { id: 1, parent_id: 0 },
      { id: 2, parent_id: 0, sum: -0 },
    ],
    exp_histogram_data_points: [
      { id: 0, parent_id: 0, ...zeros },
      { id: 1, parent_id: 0 },
    ],
  };
  await store.commit([metricsBatch(rows, 'request')]);
  await assertNormalized(store, rows);
  const columns = 'count, sum, min, max';
  assert.deepEqual(await store.rows(`SELECT ${columns} FROM histograms ORDER BY row`), [
    zeros,
    { count: 0n },
    { count: 0n, sum: -0 },
  ]);
  assert.deepEqual(await store.rows(`SELECT ${columns} FROM exp_histograms ORDER BY row`), [zeros, { count: 0n }]);
});

test(`a span keeps ${EVENTS} events among spans without any`, async (t) => {
  const store = await openStore(t);
  const batch = tracesBatch(
    {
      spans: [0, 1, 2].map((id): Row => ({ id, name: `span ${id}` })),
      span_events: Array.from({ length: EVENTS }, (_, id): Row => ({ id, parent_id: 1, name: `event number ${id}` })),
      span_event_attrs: Array.from(
        { length: EVENTS },
        (_, id): Row => ({
          parent_id: id,
          key: 'n',
          type: 2,
          int: BigInt(id),
        }),
      ),
    },
    'request',
  );
  await store.commit([batch]);
  assert.deepEqual(await store.rows('SELECT len(events) AS events FROM spans ORDER BY row'), [
    { events: 0n },
    { events: BigInt(EVENTS) },
    { events: 0n },
  ]);
  assert.deepEqual(
    await store.rows(
      `SELECT count(*) AS events, count(*) FILTER (event.name = 'event number ' || event.attributes['n']) AS own
       FROM (SELECT unnest(events) AS event FROM spans)`,
    ),
    [{ events: BigInt(EVENTS), own: BigInt(EVENTS) }],
  );
});

test('batches without rows give none, with their tables absent or empty', async (t) => {
  const store = await openStore(t);
  const batches = [
    ...[{}, { logs: [], log_attrs: [], resource_attrs: [], scope_attrs: [] }].map((rows) => logsBatch(rows)),
    ...[{}, { spans: [], span_attrs: [], span_events: [], span_links: [], span_event_attrs: [] }].map((rows) =>
      tracesBatch(rows),
    ),
    ...[{}, { univariate_metrics: [], number_data_points: [], number_dp_attrs: [], number_dp_exemplars: [] }].map(
      (rows) => metricsBatch(rows),
    ),
  ];
  for (const batch of batches) assert.equal(store.project(batch), 0);
  await store.commit(batches);
  for (let offset = 7n; offset < 7n + BigInt(batches.length); offset++) await assertNormalized(store, {}, offset);
  assert.deepEqual(await store.rows('SELECT * FROM series'), []);
});
