/** Views must not hide predicates from the scan of the physical table: zone maps decide how much is read. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { logsBatch, metricsBatch, tracesBatch } from './rows.ts';
import { openStore } from './store.ts';

const TRACE = '0000000000000150'.repeat(2);

/** View, predicate, the column of the scan's filter. */
const CASES = [
  ['logs', `time >= TIMESTAMP_NS '2023-11-14 22:13:20.5'`, 'time'],
  ['logs', `service_name = 'service 3'`, 'service_name'],
  ['logs', `trace_id = '${TRACE}'`, 'trace_id'],
  ['logs', `span_id = span_from_hex('00000000000000ff')`, 'span_id'],
  ['logs', 'entry_offset = 9', 'entry_offset'],
  ['logs', `time >= TIMESTAMP_NS '2023-11-14 22:13:20.5' AND attributes['k'] = 'v'`, 'time'],
  ['spans', `start_time >= TIMESTAMP_NS '2023-11-14 22:13:20.5'`, 'start_time'],
  ['spans', `end_time >= TIMESTAMP_NS '2023-11-14 22:13:20.5'`, 'end_time'],
  ['spans', 'duration_ns > 500', 'duration_ns'],
  ['spans', `service_name = 'service 3'`, 'service_name'],
  ['spans', `trace_id = '${TRACE}'`, 'trace_id'],
  ['spans', 'entry_offset = 9', 'entry_offset'],
  ['samples', `time >= TIMESTAMP_NS '2023-11-14 22:13:20.5'`, 'time'],
  ['metrics', `time >= TIMESTAMP_NS '2023-11-14 22:13:20.5'`, 'time'],
  ['normalized.log_attrs', 'entry_offset = 9', 'entry_offset'],
  ['normalized.log_attrs', 'entry_offset = 9 AND parent_id = 3', 'id'],
  ['normalized.span_events', 'entry_offset = 9', 'entry_offset'],
  ['normalized.span_event_attrs', 'entry_offset = 9', 'entry_offset'],
  ['normalized.number_dp_attrs', 'entry_offset = 9', 'entry_offset'],
  ['normalized.resource_attrs', 'entry_offset = 9', 'entry_offset'],
  ['normalized.logs', `trace_id = '${TRACE}' AND entry_offset = 9`, 'entry_offset'],
] as const;

test('predicates through the views reach the scan of the physical table', async (t) => {
  const store = await openStore(t);
  await fill(store);
  for (const [view, predicate, column] of CASES) {
    const plan = await store.rows(`EXPLAIN SELECT * FROM ${view} WHERE ${predicate}`);
    const text = String(plan[0]!['explain_value']);
    const filters = [...text.matchAll(/Filters:([^┘]*)/g)].map((match) => match[1]!.replaceAll(/[│\s]+/g, ' '));
    assert.ok(
      filters.some((filter) => new RegExp(`(^|[ ('"])${column}[ )'"]?[<>=]`).test(filter)),
      `${view} WHERE ${predicate}: ${text}`,
    );
  }
});

test('a series reaches the scan of points as the range of its numbers', async (t) => {
  const store = await openStore(t);
  await fill(store);
  const [series] = await store.rows('SELECT series_id FROM series ORDER BY metric_name LIMIT 1');
  const [plan] = await store.rows(
    `EXPLAIN ANALYZE SELECT * FROM samples WHERE series_id = ${String(series!['series_id'])}`,
  );
  // Operators beside each other share lines; the scan of points is the left one.
  const left = String(plan!['explain_value'])
    .split('\n')
    .map((line) => line.split('││')[0]);
  assert.match(left.join(' ').replaceAll(/[│\s]+/g, ' '), /store\.samples_v1 .*Dynamic Filters: series_number=\d+ /);
});

/** Enough variety that statistics cannot answer the predicates without a filter. */
async function fill(store: Awaited<ReturnType<typeof openStore>>): Promise<void> {
  const numbers = Array.from({ length: 20 }, (_, id) => id);
  const start = 1_700_000_000_000_000_000n;
  const hex = (id: number) => String(id * 99).padStart(16, '0');
  const shared = {
    resource_attrs: numbers.map((id) => ({ parent_id: id, key: 'service.name', type: 1, str: `service ${id}` })),
  };
  const ids = numbers.map((id) => ({ id, resource: { id }, trace_id: hex(id).repeat(2), span_id: hex(id) }));
  const attrs = numbers.map((id) => ({ parent_id: id, key: 'k', type: 1, str: `v${id}` }));
  const times = (id: number) => start + BigInt(id) * 100_000_000n;
  const batches = [0, 1, 2].flatMap(() => [
    logsBatch({ ...shared, logs: ids.map((row, id) => ({ ...row, time_unix_nano: times(id) })), log_attrs: attrs }),
    tracesBatch({
      ...shared,
      spans: ids.map((row, id) => ({
        ...row,
        start_time_unix_nano: times(id),
        duration_time_unix_nano: BigInt(id * 100),
      })),
      span_attrs: attrs,
      span_events: numbers.map((id) => ({ id, parent_id: id, name: 'e' })),
      span_event_attrs: attrs,
    }),
    metricsBatch({
      ...shared,
      univariate_metrics: numbers.map((id) => ({ id, resource: { id }, name: `m${id}` })),
      number_data_points: numbers.map((id) => ({ id, parent_id: id, time_unix_nano: times(id), int_value: 1n })),
      number_dp_attrs: attrs,
    }),
  ]);
  await store.commit(batches, 5n);
}
