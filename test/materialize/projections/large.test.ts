/** Batches of more rows than a DuckDB vector: lists and strings must stay with their rows from chunk to chunk. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertNormalized } from './normalized.ts';
import { logsBatch, metricsBatch, type Rows, tracesBatch } from './rows.ts';
import { openStore } from './store.ts';

const ROWS = 5_000;
const ids = Array.from({ length: ROWS }, (_, id) => id);
const resource = (id: number) => ({ id: id % 7, schema_url: id % 3 === 0 ? 'https://schema' : '' });
const attrs = ids.flatMap((id) => [
  { parent_id: (id * 31) % ROWS, key: `key of row ${id % 11}`, type: 1, str: `a value that is not inlined ${id}` },
  { parent_id: id % 1_000, key: 'n', type: 2, int: BigInt(id) * 4_000_000_007n },
]);
const resourceAttrs = ids
  .slice(0, 7)
  .map((id) => ({ parent_id: id, key: 'service.name', type: 1, str: `service ${id}` }));

test('logs of many chunks keep their attributes and bodies', async (t) => {
  const store = await openStore(t);
  const rows: Rows = {
    logs: ids.map((id) => ({
      id,
      resource: resource(id),
      time_unix_nano: BigInt(id),
      body: { type: 1, str: `body ${id}` },
    })),
    log_attrs: attrs,
    resource_attrs: resourceAttrs,
  };
  await store.commit([logsBatch(rows, 'dictionary')]);
  await assertNormalized(store, rows);
  const services = await store.rows('SELECT service_name, count(*) AS n FROM logs GROUP BY 1 ORDER BY 1');
  assert.deepEqual(
    services.map((row) => row['n']),
    [715n, 715n, 714n, 714n, 714n, 714n, 714n],
  );
});

test('spans of many chunks keep their events', async (t) => {
  const store = await openStore(t);
  const rows: Rows = {
    spans: ids.map((id) => ({ id, name: `span ${id}`, resource: resource(id) })),
    span_events: ids.map((id) => ({ id, parent_id: (id * 17) % ROWS, name: `event with a long name ${id}` })),
    span_event_attrs: attrs,
    resource_attrs: resourceAttrs,
  };
  await store.commit([tracesBatch(rows)]);
  await assertNormalized(store, rows);
});

test('data points of many series keep their attributes, and each series is stored once', async (t) => {
  const store = await openStore(t);
  const rows: Rows = {
    univariate_metrics: [{ id: 0, name: 'm' }],
    number_data_points: ids.map((id) => ({ id, parent_id: 0, int_value: BigInt(id) })),
    number_dp_attrs: attrs,
  };
  await store.commit([metricsBatch(rows), metricsBatch(rows, 'dictionary')]);
  await assertNormalized(store, rows, 7n);
  await assertNormalized(store, rows, 8n);
  assert.deepEqual(await store.rows('SELECT count(*) AS rows, count(DISTINCT series_id) AS ids FROM series'), [
    { rows: BigInt(ROWS), ids: BigInt(ROWS) },
  ]);
});
