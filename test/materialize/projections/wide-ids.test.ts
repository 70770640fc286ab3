/** Batches of more rows than 16 bits can number, as OTLP requests may be: children stay with their parents. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, toBinary } from '@bufbuild/protobuf';
import { decodeOtlp, OTLP_CONTENT_TYPES } from '../../../src/otap/index.ts';
import { OTLP_REQUEST_SCHEMAS } from '../../helpers/otlp-json.ts';
import { logsBatch, metricsBatch, type Row, tracesBatch } from './rows.ts';
import { openStore } from './store.ts';

const ROWS = 100_000;
/** A multiple of no factor of ROWS: children come in another order than their parents. */
const STRIDE = 7_919;
const ids = Array.from({ length: ROWS }, (_, id) => id);
const parentOf = (child: number): number => (child * STRIDE) % ROWS;
/** A resource for each row and 70,000 scopes: their ids need 32 bits too. */
const root = (id: number): Row => ({
  id,
  resource: { id, dropped_attributes_count: id % 5 },
  scope: { id: id % 70_000, name: `scope ${id % 3}` },
});
/** One attribute for each parent, whose value is the parent's id. */
const attrs = ids.map(
  (child): Row => ({ parent_id: parentOf(child), key: 'n', type: 2, int: BigInt(parentOf(child)) }),
);
const resourceAttrs = ids.map((id): Row => ({ parent_id: id, key: 'r', type: 2, int: BigInt(id % 1_000) }));

type Store = Awaited<ReturnType<typeof openStore>>;

/** Asserts what the first row of a query holds. */
async function assertRow(store: Store, sql: string, expected: Row): Promise<void> {
  assert.deepEqual((await store.rows(sql))[0], expected, sql);
}

test('100,000 logs of one batch keep their attributes and resources', async (t) => {
  const store = await openStore(t);
  const logs = ids.map((id): Row => ({ ...root(id), time_unix_nano: BigInt(id) }));
  const batch = logsBatch({ logs, log_attrs: attrs, resource_attrs: resourceAttrs }, 'request');
  await store.commit([batch]);
  await assertRow(
    store,
    `SELECT count(*) AS rows, count(*) FILTER (epoch_ns(time) = attributes['n']::BIGINT) AS own,
       count(*) FILTER (epoch_ns(time) % 1000 = resource_attributes['r']::BIGINT) AS resources FROM logs`,
    { rows: BigInt(ROWS), own: BigInt(ROWS), resources: BigInt(ROWS) },
  );
  await assertRow(
    store,
    `SELECT count(*) AS rows, count(*) FILTER (log.id = attr.int) AS own, max(log.id) AS last FROM normalized.logs AS log
     JOIN normalized.log_attrs AS attr ON attr.parent_id = log.id AND epoch_ns(log.time_unix_nano) = attr.int`,
    { rows: BigInt(ROWS), own: BigInt(ROWS), last: ROWS - 1 },
  );
  await assertRow(
    store,
    `SELECT count(*) AS rows, count(*) FILTER (attr.int = log.resource.id % 1000) AS own FROM normalized.logs AS log
     JOIN normalized.resource_attrs AS attr ON attr.parent_id = log.resource.id`,
    { rows: BigInt(ROWS), own: BigInt(ROWS) },
  );
});

test('100,000 spans of one batch keep their events, links and attributes', async (t) => {
  const store = await openStore(t);
  const children = ids.map((id): Row => ({ id, parent_id: parentOf(id), dropped_attributes_count: parentOf(id) }));
  const batch = tracesBatch(
    {
      spans: ids.map((id): Row => ({ ...root(id), dropped_attributes_count: id })),
      span_attrs: attrs,
      span_events: children.map((row) => ({ ...row, time_unix_nano: BigInt(row['id'] as number) })),
      span_event_attrs: ids.map((id): Row => ({ parent_id: id, key: 'n', type: 2, int: BigInt(id) })),
      span_links: children,
      span_link_attrs: ids.map((id): Row => ({ parent_id: id, key: 'n', type: 2, int: BigInt(parentOf(id)) })),
    },
    'request',
  );
  await store.commit([batch]);
  const all = BigInt(ROWS);
  await assertRow(
    store,
    `SELECT count(*) FILTER (attributes['n']::UINTEGER = dropped_attributes_count) AS attributes,
       count(*) FILTER (len(events) = 1 AND events[1].dropped_attributes_count = dropped_attributes_count) AS events,
       count(*) FILTER (events[1].attributes['n']::BIGINT = epoch_ns(events[1].time)) AS event_attributes,
       count(*) FILTER (len(links) = 1 AND links[1].dropped_attributes_count = dropped_attributes_count) AS links,
       count(*) FILTER (links[1].attributes['n']::UINTEGER = dropped_attributes_count) AS link_attributes FROM spans`,
    { attributes: all, events: all, event_attributes: all, links: all, link_attributes: all },
  );
  await assertRow(
    store,
    `SELECT count(*) AS rows, count(*) FILTER (event.parent_id = event.dropped_attributes_count) AS own
     FROM normalized.span_events AS event JOIN normalized.spans AS span ON span.id = event.parent_id`,
    { rows: all, own: all },
  );
});

test('100,000 metrics of one batch keep their points, series and metadata', async (t) => {
  const store = await openStore(t);
  const point = (id: number): Row => ({ id, parent_id: parentOf(id), flags: parentOf(id) });
  const batch = metricsBatch(
    {
      univariate_metrics: ids.map((id): Row => ({ ...root(id), metric_type: 1, name: `m${id}` })),
      metric_attrs: attrs,
      number_data_points: ids.map((id) => ({ ...point(id), int_value: BigInt(parentOf(id)) })),
      number_dp_attrs: ids.map((id): Row => ({ parent_id: id, key: 'n', type: 2, int: BigInt(parentOf(id)) })),
      number_dp_exemplars: ids.map((id): Row => ({ id, parent_id: id, int_value: BigInt(parentOf(id)) })),
    },
    'request',
  );
  await store.commit([batch]);
  const all = BigInt(ROWS);
  await assertRow(
    store,
    `SELECT count(*) AS rows, count(*) FILTER (series.metric_name = 'm' || sample.int_value) AS own,
       count(*) FILTER (series.attributes['n']::BIGINT = sample.int_value) AS attributes
     FROM samples AS sample JOIN series USING (series_id)`,
    { rows: all, own: all, attributes: all },
  );
  await assertRow(
    store,
    `SELECT count(*) AS rows, count(*) FILTER (metric.name = 'm' || point.int_value) AS own
     FROM normalized.number_data_points AS point JOIN normalized.univariate_metrics AS metric ON metric.id = point.parent_id`,
    { rows: all, own: all },
  );
  await assertRow(
    store,
    `SELECT count(*) AS rows, count(*) FILTER (series.metric_name = 'm' || exemplar.int_value) AS own
     FROM exemplars AS exemplar JOIN series USING (series_id)`,
    { rows: all, own: all },
  );
  await assertRow(
    store,
    `SELECT count(*) AS rows, count(*) FILTER (attr.int = attr.parent_id) AS own FROM normalized.metric_attrs AS attr
     JOIN normalized.univariate_metrics AS metric ON metric.id = attr.parent_id`,
    { rows: all, own: all },
  );
});

test('an OTLP request of 100,000 logs keeps their attributes and resources', async (t) => {
  const store = await openStore(t);
  const int = (value: number) => ({ value: { case: 'intValue', value: BigInt(value) } }) as const;
  const schema = OTLP_REQUEST_SCHEMAS.logs;
  const request = create(schema, {
    resourceLogs: [0, 1].map((half) => ({
      resource: { attributes: [{ key: 'half', value: int(half) }] },
      scopeLogs: [
        {
          logRecords: ids.slice(0, ROWS / 2).map((id) => ({
            timeUnixNano: BigInt(id),
            attributes: [{ key: 'n', value: int(2 * id + half) }],
          })),
        },
      ],
    })),
  });
  await store.commit([decodeOtlp('logs', toBinary(schema, request), OTLP_CONTENT_TYPES.PROTOBUF)]);
  await assertRow(
    store,
    `SELECT count(*) AS rows, count(DISTINCT attributes['n']) AS numbers, count(*) FILTER (
       attributes['n']::BIGINT = 2 * epoch_ns(time) + resource_attributes['half']::BIGINT) AS own FROM logs`,
    { rows: BigInt(ROWS), numbers: BigInt(ROWS), own: BigInt(ROWS) },
  );
  await assertRow(
    store,
    `SELECT count(*) AS rows, count(*) FILTER (attr.int // 2 = epoch_ns(log.time_unix_nano)) AS own
     FROM normalized.logs AS log JOIN normalized.log_attrs AS attr ON attr.parent_id = log.id`,
    { rows: BigInt(ROWS), own: BigInt(ROWS) },
  );
});

test('orphans of a wide batch keep the ids of their parents', async (t) => {
  const store = await openStore(t);
  const batch = tracesBatch(
    {
      spans: [{ id: 70_000, name: 'span' }],
      span_events: [{ id: 0, parent_id: 70_001, name: 'event' }],
      span_links: [{ id: 0, parent_id: 70_002, trace_state: 'link' }],
      span_attrs: [{ parent_id: 70_003, key: 'k', type: 1, str: 'v' }],
    },
    'request',
  );
  await store.commit([batch]);
  await assertRow(store, 'SELECT parent_id, name FROM normalized.span_events', { parent_id: 70_001, name: 'event' });
  await assertRow(store, 'SELECT parent_id FROM normalized.span_links', { parent_id: 70_002 });
  await assertRow(store, 'SELECT parent_id FROM normalized.span_attrs', { parent_id: 70_003 });
});
