/**
 * Goal: nothing of an OTLP request is missing from the tables.
 * Method: a request of each signal with every field set, as protobuf and as JSON, through decoder and projections into a DuckDB; both
 * schemas are read back whole, and compared with what protobuf-es reads from the request.
 * Invariant: equal rows; and that the comparison sees every field is itself tested, field by field.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type DescMessage, fromJsonString, type Message, toBinary } from '@bufbuild/protobuf';
import { type Signal, SIGNALS } from '../../../src/base/index.ts';
import { decodeOtlp, OTLP_CONTENT_TYPES } from '../../../src/otap/index.ts';
import type { ExportMetricsServiceRequest } from '../../gen/opentelemetry/proto/collector/metrics/v1/metrics_service_pb.js';
import { expectedRows } from '../../helpers/expected-rows.ts';
import { expectedMainRows } from '../../helpers/main-rows.ts';
import { fieldNames, fullRequest, withoutField } from '../../helpers/otlp-full-request.ts';
import { OTLP_REQUEST_SCHEMAS, toOtlpJson } from '../../helpers/otlp-json.ts';
import { assertRows, expectedLines } from '../../helpers/row-comparison.ts';
import { openStore } from './store.ts';

const { PROTOBUF, JSON: JSON_TYPE } = OTLP_CONTENT_TYPES;

function encode(signal: Signal, request: Message): Uint8Array {
  const schema: DescMessage = OTLP_REQUEST_SCHEMAS[signal];
  return toBinary(schema, request);
}

const GROUPS = [
  'Resource.dropped_attributes_count',
  'InstrumentationScope.dropped_attributes_count',
  'ScopeMetrics.schema_url',
  'ResourceMetrics.schema_url',
];
const EXEMPLARS = ['filtered_attributes', 'time_unix_nano', 'as_double', 'as_int', 'span_id', 'trace_id'].map(
  (field) => `Exemplar.${field}`,
);
/** Fields that no row of `main` shows: they are in its views of resources, scopes, series and exemplars. Metadata is in none. */
const BESIDE_ROWS: Readonly<Record<Signal, readonly string[]>> = {
  logs: GROUPS.slice(0, 2),
  traces: GROUPS.slice(0, 2),
  metrics: [
    ...GROUPS,
    ...EXEMPLARS,
    ...['Number', 'Histogram', 'ExponentialHistogram'].map((kind) => `${kind}DataPoint.exemplars`),
    'Metric.description',
    'Metric.metadata',
  ],
};

for (const signal of SIGNALS) {
  test(`the rows that are expected of ${signal} show every field of a request`, () => {
    const textsOf = (request: Message) => {
      const rows = expectedRows(signal, encode(signal, request), { exact: true });
      return [JSON.stringify(rows), JSON.stringify(expectedMainRows(rows))] as const;
    };
    const [whole, wholeMain] = textsOf(fullRequest(signal, 1));
    const names = fieldNames(signal);
    assert.ok(names.length > 25, `${names.length} fields`);
    const beside: string[] = [];
    for (const { message, field } of names) {
      const name = `${message.split('.').at(-1)}.${field}`;
      const [rows, mainRows] = textsOf(withoutField(signal, fullRequest(signal, 1), { message, field }));
      assert.notEqual(rows, whole, name);
      if (mainRows === wholeMain) beside.push(name);
    }
    assert.deepEqual(beside.toSorted(), BESIDE_ROWS[signal].toSorted());
  });

  for (const contentType of [PROTOBUF, JSON_TYPE]) {
    test(`every field of a request of ${signal} in ${contentType} is in both schemas`, async (t) => {
      const store = await openStore(t);
      const body = Buffer.from(encode(signal, fullRequest(signal)));
      const sent = contentType === PROTOBUF ? body : Buffer.from(toOtlpJson(signal, body));
      await store.commit([decodeOtlp(signal, sent, contentType)]);
      const expected = expectedLines([{ t: 'otlp', signal, body }], { exact: true });
      assert.ok(expected[signal].main.length >= 8);
      await assertRows(store.connection, expected, { what: contentType, exact: true });
    });
  }
}

test('what no row of main shows is in its views of resources, scopes, series and exemplars', async (t) => {
  const store = await openStore(t);
  const request = fullRequest('metrics') as ExportMetricsServiceRequest;
  await store.commit([decodeOtlp('metrics', encode('metrics', request), PROTOBUF)]);
  const groups = request.resourceMetrics;
  const scoped = groups.flatMap(({ scopeMetrics }) => scopeMetrics);
  const column = async (sql: string) => (await store.rows(sql)).map(({ value }) => value);
  assert.deepEqual(
    await column('SELECT dropped_attributes_count AS value FROM resources ORDER BY value'),
    groups.map(({ resource }) => resource!.droppedAttributesCount),
  );
  assert.deepEqual(
    await column('SELECT dropped_attributes_count AS value FROM scopes ORDER BY value'),
    scoped.map(({ scope }) => scope!.droppedAttributesCount),
  );
  const series = `SELECT DISTINCT concat_ws(', ', resource_schema_url, scope_schema_url, description) AS value FROM series ORDER BY value`;
  assert.deepEqual(
    await column(series),
    groups
      .flatMap((group) =>
        group.scopeMetrics.flatMap(({ schemaUrl, metrics }) =>
          metrics.map(({ description }) => [group.schemaUrl, schemaUrl, description].join(', ')),
        ),
      )
      .toSorted(),
  );
  const exemplars = scoped.flatMap(({ metrics }) =>
    metrics.flatMap(({ name, data }) =>
      (data.value?.dataPoints ?? []).flatMap((point) =>
        ('exemplars' in point ? point.exemplars : []).map(({ timeUnixNano, value, traceId, spanId, ...exemplar }) =>
          [
            name,
            BigInt.asIntN(64, timeUnixNano),
            value.case === 'asInt' ? value.value : 'none',
            Number(value.value),
            Buffer.from(traceId).toString('hex'),
            Buffer.from(spanId).toString('hex'),
            exemplar.filteredAttributes.map(({ key }) => key).join(),
          ].join(' '),
        ),
      ),
    ),
  );
  assert.ok(exemplars.length >= 16);
  const rows = await store.rows(
    `SELECT metric_name, epoch_ns(time) AS time, int_value, value, trace_hex(trace_id) AS trace, span_hex(span_id) AS span,
       array_to_string(map_keys(e.attributes), ',') AS keys FROM exemplars AS e JOIN series USING (series_id)`,
  );
  assert.deepEqual(
    rows
      .map(({ metric_name, time, int_value = 'none', value, trace, span, keys }) =>
        [metric_name, time, int_value, value, trace, span, keys].join(' '),
      )
      .toSorted(),
    exemplars.toSorted(),
  );
});

test('64-bit integers are exact in SQL, in both forms', async (t) => {
  const store = await openStore(t);
  const values = ['9223372036854775807', '-9223372036854775808', '9007199254740993', '-9007199254740993'];
  const points = values.map((asInt) => `{"asInt":"${asInt}","timeUnixNano":"1700000000123456789"}`);
  const attributes = values.map((intValue) => `{"key":"${intValue}","value":{"intValue":"${intValue}"}}`).join();
  const counts = '["18446744073709551615","9007199254740993"]';
  const json = `{"resourceMetrics":[{"scopeMetrics":[{"metrics":[
    {"name":"gauge","gauge":{"dataPoints":[${points.join()}]}},
    {"name":"histogram","histogram":{"dataPoints":[{"count":"18446744073709551615","bucketCounts":${counts},"explicitBounds":[0.1],
      "attributes":[${attributes},{"key":"list","value":{"arrayValue":{"values":[{"intValue":"${values[2]}"}]}}}]}]}}]}]}]}`;
  const schema = OTLP_REQUEST_SCHEMAS.metrics;
  // Written by the JSON mapping of another maker.
  const protobuf = toBinary(schema, fromJsonString(schema, json));
  await store.commit([decodeOtlp('metrics', Buffer.from(json), JSON_TYPE), decodeOtlp('metrics', protobuf, PROTOBUF)]);
  for (const offset of [7, 8]) {
    const where = `WHERE entry_offset = ${offset} ORDER BY row`;
    assert.deepEqual(
      (await store.rows(`SELECT int_value::VARCHAR AS text FROM samples ${where}`)).map(({ text }) => text),
      values,
    );
    assert.deepEqual(
      await store.rows(`SELECT DISTINCT epoch_ns(time) AS ns FROM samples WHERE entry_offset = ${offset}`),
      [{ ns: 1_700_000_000_123_456_789n }],
    );
    const columns = `count::VARCHAR AS count, bucket_counts::VARCHAR AS buckets, array_to_string(map_values(attributes), ' ') AS texts`;
    assert.deepEqual(await store.rows(`SELECT ${columns} FROM histograms JOIN series USING (series_id) ${where}`), [
      {
        count: '18446744073709551615',
        buckets: '[18446744073709551615, 9007199254740993]',
        texts: [...values, `[${values[2]}]`].join(' '),
      },
    ]);
    assert.deepEqual(
      await store.rows(
        `SELECT key, int::VARCHAR AS int FROM normalized.histogram_dp_attrs WHERE entry_offset = ${offset} AND type = 2`,
      ),
      values.map((value) => ({ key: value, int: value })),
    );
  }
});
