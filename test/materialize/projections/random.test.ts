/** Whatever a batch holds, the views of schema `normalized` give back exactly its canonical tables: orphans, duplicate ids, odd types. */
import { test } from 'node:test';
import fc from 'fast-check';
import { assertNormalized } from './normalized.ts';
import {
  logsBatch,
  metricsBatch,
  type Row,
  type Rows,
  STRING_LAYOUTS,
  type StringLayout,
  tracesBatch,
} from './rows.ts';
import { openStore } from './store.ts';

const RUNS = 25;
const text = fc.constantFrom(
  '',
  'a',
  'service.name',
  'exactly 12 b',
  'thirteen char',
  'ünï\u0000cödé 😀',
  'x'.repeat(300),
);
const u32 = fc.constantFrom(0, 1, 2 ** 31, 2 ** 32 - 1);
const i32 = fc.constantFrom(0, 1, 5, -1, 2 ** 31 - 1, -(2 ** 31));
const i64 = fc.constantFrom(0n, 1n, -1n, 1_700_000_000_123_456_789n, 2n ** 63n - 1n, -(2n ** 63n));
const u64 = fc.constantFrom(0n, 1n, 2n ** 53n + 1n, 2n ** 64n - 1n);
const double = fc.oneof(fc.double({ noNaN: false }), fc.constantFrom(0, -0, 1e21, 5e-324, 123_456.789));
const bytes = fc.constantFrom('', '00', 'deadbeef', 'ff'.repeat(40));
const cbor = fc.constantFrom('a0', '80', '81f5', 'a1616101', `78${'20'}${'61'.repeat(32)}`, 'ff');
const traceId = fc.constantFrom('0'.repeat(32), '0af7651916cd43dd8448eb211c80319c', 'f'.repeat(32));
const spanId = fc.constantFrom('0'.repeat(16), '00000000000000ff', 'f'.repeat(16));
/** Few ids over few rows: children meet parents, orphans happen. */
const id = fc.constantFrom(0, 1, 2, 3, 0, 1, 2, 3, 700, 65_535, 70_000, 2 ** 32 - 1);
const time = i64;

const value = fc.oneof(
  fc.record({ type: fc.constant(1), str: text }, { requiredKeys: ['type'] }),
  fc.record({ type: fc.constant(2), int: i64 }, { requiredKeys: ['type'] }),
  fc.record({ type: fc.constant(3), double }, { requiredKeys: ['type'] }),
  fc.record({ type: fc.constant(4), bool: fc.boolean() }, { requiredKeys: ['type'] }),
  fc.record({ type: fc.constantFrom(5, 6), ser: cbor }, { requiredKeys: ['type'] }),
  fc.record({ type: fc.constant(7), bytes }, { requiredKeys: ['type'] }),
  fc.record({ type: fc.constantFrom(0, 8, 255) }),
);

function attrs(parent: fc.Arbitrary<number>): fc.Arbitrary<Row[]> {
  const row = fc
    .tuple(fc.record({ parent_id: parent, key: text }, { requiredKeys: [] }), value)
    .map(([head, tail]): Row => ({ ...head, ...tail }));
  return fc.array(row, { maxLength: 12 });
}

/** Rows of optional columns. Rows with the same id would make `first row owns the children` ambiguous only for readers, not here. */
function rows(columns: Readonly<Record<string, fc.Arbitrary<unknown>>>, maxLength = 6): fc.Arbitrary<Row[]> {
  return fc.array(fc.record(columns, { requiredKeys: [] }) as fc.Arbitrary<Row>, { maxLength });
}

const root = {
  id,
  resource: fc.record({ id, schema_url: text, dropped_attributes_count: u32 }, { requiredKeys: [] }),
  scope: fc.record({ id, name: text, version: text, dropped_attributes_count: u32 }, { requiredKeys: [] }),
  schema_url: text,
};
const shared = { resource_attrs: attrs(id), scope_attrs: attrs(id) };
const layout = fc.constantFrom<StringLayout>(...STRING_LAYOUTS);

const logs = fc.record({
  ...shared,
  logs: rows({
    ...root,
    time_unix_nano: time,
    observed_time_unix_nano: time,
    trace_id: traceId,
    span_id: spanId,
    severity_number: i32,
    severity_text: text,
    body: value,
    dropped_attributes_count: u32,
    flags: u32,
    event_name: text,
  }),
  log_attrs: attrs(id),
});

const traces = fc.record(
  {
    ...shared,
    spans: rows({
      ...root,
      start_time_unix_nano: time,
      duration_time_unix_nano: i64,
      trace_id: traceId,
      span_id: spanId,
      parent_span_id: spanId,
      trace_state: text,
      name: text,
      kind: i32,
      dropped_attributes_count: u32,
      dropped_events_count: u32,
      dropped_links_count: u32,
      status: fc.record({ code: i32, status_message: text }, { requiredKeys: [] }),
      flags: u32,
    }),
    span_attrs: attrs(id),
    span_events: rows({ id: id, parent_id: id, time_unix_nano: time, name: text, dropped_attributes_count: u32 }),
    span_event_attrs: attrs(id),
    span_links: rows({
      id: id,
      parent_id: id,
      trace_id: traceId,
      span_id: spanId,
      trace_state: text,
      flags: u32,
      dropped_attributes_count: u32,
    }),
    span_link_attrs: attrs(id),
  },
  { requiredKeys: ['spans'] },
);

const number = fc.oneof(fc.record({ int_value: i64 }), fc.record({ double_value: double }), fc.constant({}));
const point = { id: id, parent_id: id, time_unix_nano: time, start_time_unix_nano: time, flags: u32 };
const buckets = fc.record({ offset: i32, bucket_counts: fc.array(u64, { maxLength: 3 }) }, { requiredKeys: [] });
const aggregate = { count: u64, sum: double, min: double, max: double };

function numbered(columns: Readonly<Record<string, fc.Arbitrary<unknown>>>): fc.Arbitrary<Row[]> {
  const row = fc.tuple(fc.record(columns, { requiredKeys: [] }) as fc.Arbitrary<Row>, number);
  return fc.array(
    row.map(([head, tail]) => ({ ...head, ...tail })),
    { maxLength: 6 },
  );
}

const exemplars = numbered({ id: id, parent_id: id, time_unix_nano: time, trace_id: traceId, span_id: spanId });

const metrics = fc.record(
  {
    ...shared,
    univariate_metrics: rows({
      ...root,
      metric_type: fc.constantFrom(0, 1, 2, 3, 4, 5, 200),
      name: text,
      description: text,
      unit: text,
      aggregation_temporality: i32,
      is_monotonic: fc.boolean(),
    }),
    metric_attrs: attrs(id),
    number_data_points: numbered(point),
    number_dp_attrs: attrs(id),
    number_dp_exemplars: exemplars,
    number_dp_exemplar_attrs: attrs(id),
    histogram_data_points: rows({
      ...point,
      ...aggregate,
      bucket_counts: fc.array(u64, { maxLength: 3 }),
      explicit_bounds: fc.array(double, { maxLength: 3 }),
    }),
    histogram_dp_attrs: attrs(id),
    histogram_dp_exemplars: exemplars,
    histogram_dp_exemplar_attrs: attrs(id),
    exp_histogram_data_points: rows({
      ...point,
      ...aggregate,
      scale: i32,
      zero_count: u64,
      zero_threshold: double,
      positive: buckets,
      negative: buckets,
    }),
    exp_histogram_dp_attrs: attrs(id),
    exp_histogram_dp_exemplars: exemplars,
    exp_histogram_dp_exemplar_attrs: attrs(id),
    summary_data_points: rows({
      ...point,
      count: u64,
      sum: double,
      quantile: fc.array(fc.record({ quantile: double, value: double }), { maxLength: 3 }),
    }),
    summary_dp_attrs: attrs(id),
  },
  { requiredKeys: ['univariate_metrics'] },
);

test('normalized logs give back any batch', (t) => check(t, logs, logsBatch));
test('normalized traces give back any batch', (t) => check(t, traces, tracesBatch));
test('normalized metrics give back any batch', (t) => check(t, metrics, metricsBatch));

async function check(
  t: Parameters<typeof openStore>[0],
  arbitrary: fc.Arbitrary<unknown>,
  build: (rows: Rows, layout: StringLayout) => Parameters<Awaited<ReturnType<typeof openStore>>['project']>[0],
): Promise<void> {
  const store = await openStore(t);
  let offset = 0n;
  await fc.assert(
    fc.asyncProperty(arbitrary as fc.Arbitrary<Rows>, layout, async (batch, strings) => {
      offset++;
      await store.commit([build(batch, strings)], offset);
      await assertNormalized(store, batch, offset);
    }),
    { numRuns: RUNS, endOnFailure: false },
  );
}
