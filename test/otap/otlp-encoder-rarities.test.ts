/** What OTLP requests never decode to and OTAP may: shared ids, missing parents, odd CBOR, null rows; and what is too large. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type DescMessage, fromBinary, type MessageShape, toBinary, toJson } from '@bufbuild/protobuf';
import { BatchTooLargeError, LIMITS, type Signal } from '../../src/base/index.ts';
import {
  type AttributesTable,
  type BytesColumn,
  type CanonicalBatch,
  decodeOtlp,
  type LogsBatch,
  type MetricsBatch,
  METRIC_TYPES,
  OTLP_CONTENT_TYPES,
  type TracesBatch,
  VALUE_TYPES,
} from '../../src/otap/index.ts';
import { encodeOtlp, splitBatch } from '../../src/otap/encoders.ts';
import { fullRequest } from '../helpers/otlp-full-request.ts';
import { OTLP_REQUEST_SCHEMAS } from '../helpers/otlp-json.ts';

test('rows of a resource come together, those of another schema URL apart, in the order of their first rows', () => {
  const batch: LogsBatch = {
    ...logs(6),
    resourceAttrs: attributes([7, 9], [VALUE_TYPES.STR, VALUE_TYPES.STR], { str: texts(['seven', 'nine']) }),
    logs: {
      ...logs(6).logs,
      resourceId: { values: Uint16Array.from([7, 0, 7, 9, 0, 7]), validity: Uint8Array.from([1, 0, 1, 1, 0, 1]) },
      resourceSchemaUrl: texts(['', '', '', '', '', 'url']),
      scopeName: texts(['a', 'a', 'b', 'a', 'a', 'a']),
      eventName: texts(['0', '1', '2', '3', '4', '5']),
    },
  };
  const request = parse('logs', encode(batch, 0));
  assert.deepEqual(
    request.resourceLogs.map(({ resource, schemaUrl, scopeLogs }) => [
      resource!.attributes.map(({ value }) => value!.value.value),
      schemaUrl,
      scopeLogs.map(({ scope, logRecords }) => [scope!.name, logRecords.map(({ eventName }) => eventName).join('')]),
    ]),
    [
      [
        ['seven'],
        '',
        [
          ['a', '0'],
          ['b', '2'],
        ],
      ],
      [[], '', [['a', '14']]],
      [['nine'], '', [['a', '3']]],
      [['seven'], 'url', [['a', '5']]],
    ],
  );
});

test('groups that take turns come together and keep the order of their rows', () => {
  const rowCount = 1000;
  const batch = logs(rowCount);
  const values = Uint32Array.from({ length: rowCount }, (_, row) => (row * 7) % 5);
  const scopeId = { values, validity: null };
  const timeUnixNano = { values: BigInt64Array.from({ length: rowCount }, (_, row) => BigInt(row)), validity: null };
  const request = parse('logs', encode({ ...batch, logs: { ...batch.logs, scopeId, timeUnixNano } }, 0));
  const scopes = request.resourceLogs[0]!.scopeLogs;
  assert.equal(scopes.length, 5);
  for (const { logRecords } of scopes) {
    const rows = logRecords.map((record) => Number(record.timeUnixNano));
    assert.deepEqual(
      rows,
      rows.toSorted((a, b) => a - b),
    );
    assert.deepEqual(new Set(rows.map((row) => values[row])).size, 1);
    assert.equal(rows.length, 200);
  }
});

test('values of null columns and null rows are the defaults of their types', () => {
  const types = [
    VALUE_TYPES.EMPTY,
    VALUE_TYPES.STR,
    VALUE_TYPES.INT,
    VALUE_TYPES.DOUBLE,
    VALUE_TYPES.BOOL,
    VALUE_TYPES.MAP,
    VALUE_TYPES.SLICE,
    VALUE_TYPES.BYTES,
    99,
  ];
  const parents = types.map(() => 0);
  const expected = [
    {},
    { stringValue: '' },
    { intValue: '0' },
    { doubleValue: 0 },
    { boolValue: false },
    { kvlistValue: {} },
    { arrayValue: {} },
    { bytesValue: '' },
    {},
  ];
  assert.deepEqual(valuesOf(attributes(parents, types, {})), expected);
  const validity = new Uint8Array(types.length);
  const pool = { bytes: Buffer.from('not this'), offsets: Uint32Array.from([0, 8]), length: 1 };
  const indices = new Uint8Array(types.length);
  const str: BytesColumn = { kind: 'utf8', pool, indices, validity };
  const bytes: BytesColumn = { kind: 'binary', pool, indices, validity };
  assert.deepEqual(valuesOf(attributes(parents, types, { str, bytes, ser: bytes })), expected);
});

test('maps and slices are what their CBOR says, bytes when it is none', () => {
  const cases: readonly (readonly [hex: string, value: unknown])[] = [
    ['80', { arrayValue: {} }],
    ['a0', { kvlistValue: {} }],
    [
      '9f01fb3ff000000000000040ff',
      { arrayValue: { values: [{ intValue: '1' }, { doubleValue: 1 }, { bytesValue: '' }] } },
    ],
    ['8220f6', { arrayValue: { values: [{ intValue: '-1' }, {}] } }],
    ['8100', { arrayValue: { values: [{ intValue: '0' }] } }],
    ['811b7fffffffffffffff', { arrayValue: { values: [{ intValue: '9223372036854775807' }] } }],
    ['813b7fffffffffffffff', { arrayValue: { values: [{ intValue: '-9223372036854775808' }] } }],
    ['811bffffffffffffffff', { arrayValue: { values: [{ stringValue: '18446744073709551615' }] } }],
    ['a2616180613bf5', { kvlistValue: { values: [entry('a', { arrayValue: {} }), entry(';', { boolValue: true })] } }],
    ['a20762616241ff6163', { kvlistValue: { values: [entry('7', str('ab')), entry('/w==', str('c'))] } }],
    ['a160f4', { kvlistValue: { values: [{ value: { boolValue: false } }] } }],
    ['6161', str('a')],
    ['ff', { bytesValue: '/w==' }],
    ['8161', { bytesValue: 'gWE=' }],
  ];
  const pool = binary(cases.map(([hex]) => Buffer.from(hex, 'hex')));
  const table = attributes(
    cases.map(() => 0),
    cases.map(() => VALUE_TYPES.SLICE),
    { ser: pool },
  );
  assert.deepEqual(
    valuesOf(table),
    cases.map(([, value]) => value),
  );
});

test('rows without a parent are left out and counted, with all that belongs to them', () => {
  const spans = full('traces') as TracesBatch;
  const { spanEvents, spanEventAttrs } = spans;
  const noEvents: TracesBatch = {
    ...spans,
    spanEvents: { ...spanEvents!, parentId: elsewhere(spanEvents!.rowCount) },
    spanAttrs: { ...spans.spanAttrs!, parentValidity: new Uint8Array(spans.spanAttrs!.rowCount) },
  };
  const orphans = spanEvents!.rowCount + spanEventAttrs!.rowCount + spans.spanAttrs!.rowCount;
  const request = encode(noEvents, orphans);
  assert.deepEqual(
    parse('traces', request).resourceSpans.flatMap(({ scopeSpans }) =>
      scopeSpans.flatMap((scope) => scope.spans.map(({ events, attributes: found }) => [events, found])),
    ),
    Array.from({ length: spans.spans.rowCount }, () => [[], []]),
  );

  const metrics = full('metrics') as MetricsBatch;
  const points = metrics.numberDataPoints!;
  const noPoints = { ...metrics, numberDataPoints: { ...points, parentId: elsewhere(points.rowCount) } };
  const children = [points, metrics.numberDpAttrs!, metrics.numberDpExemplars!, metrics.numberDpExemplarAttrs!].reduce(
    (sum, { rowCount }) => sum + rowCount,
    0,
  );
  encode(noPoints, children);

  const tableless = { ...metrics, numberDataPoints: null };
  encode(tableless, children - points.rowCount);

  const noOwners: LogsBatch = { ...logs(1), resourceAttrs: attributes([0, 1], [0, 0], {}) };
  encode(noOwners, 2);
});

test('points of another kind than their metric are left out and counted, an empty metric comes out', () => {
  const metrics = full('metrics') as MetricsBatch;
  const rows = metrics.metrics.rowCount;
  const metricType = { values: new Uint8Array(rows).fill(METRIC_TYPES.EMPTY), validity: null };
  const faults = { orphanRows: 0 };
  const encoded = encodeOtlp({ ...metrics, metrics: { ...metrics.metrics, metricType } }, faults);
  const points = [
    metrics.numberDataPoints,
    metrics.summaryDataPoints,
    metrics.histogramDataPoints,
    metrics.expHistogramDataPoints,
  ].reduce((sum, table) => sum + table!.rowCount, 0);
  assert.ok(faults.orphanRows > points);
  const found = parse('metrics', encoded).resourceMetrics.flatMap(({ scopeMetrics }) =>
    scopeMetrics.flatMap((scope) => scope.metrics),
  );
  assert.equal(found.length, rows);
  for (const { name, data, metadata } of found) {
    assert.ok(name !== '' && metadata.length > 0);
    assert.equal(data.case, undefined);
  }
});

test('parents may have any ids of 32 bits', () => {
  const ids = [4_294_967_295, 3, 2_147_483_648];
  const batch = logs(ids.length);
  const values = Uint32Array.from(ids);
  const shuffled = [2_147_483_648, 4_294_967_295, 3, 4_294_967_295, 5];
  const logAttrs = attributes(
    shuffled,
    shuffled.map(() => VALUE_TYPES.INT),
    { int: { values: BigInt64Array.from([0n, 1n, 2n, 3n, 4n]), validity: null } },
  );
  const encoded = encode({ ...batch, logs: { ...batch.logs, id: { values, validity: null } }, logAttrs }, 1);
  const records = parse('logs', encoded).resourceLogs[0]!.scopeLogs[0]!.logRecords;
  assert.deepEqual(
    records.map((record) => record.attributes.map(({ value }) => value!.value.value)),
    [[1n, 3n], [2n], [0n]],
  );
});

test('a batch that is too large for a message is refused, its pieces are not', () => {
  const rowCount = 100;
  const pool = { bytes: new Uint8Array(1_000_000).fill(0x61), offsets: Uint32Array.from([0, 1_000_000]), length: 1 };
  const eventName: BytesColumn = { kind: 'utf8', pool, indices: new Uint8Array(rowCount), validity: null };
  const batch: LogsBatch = { ...logs(rowCount), logs: { ...logs(rowCount).logs, eventName } };
  assert.throws(() => encodeOtlp(batch), BatchTooLargeError);
  for (const piece of splitBatch(batch, 50)) assert.ok(encodeOtlp(piece).length < LIMITS.messageBytesMax);
});

function encode(batch: CanonicalBatch, orphanRows: number): Uint8Array {
  const faults = { orphanRows: 0 };
  const encoded = encodeOtlp(batch, faults);
  assert.equal(faults.orphanRows, orphanRows);
  return encoded;
}

function parse<S extends Signal>(signal: S, request: Uint8Array): MessageShape<(typeof OTLP_REQUEST_SCHEMAS)[S]> {
  return fromBinary(OTLP_REQUEST_SCHEMAS[signal] as DescMessage, request) as MessageShape<
    (typeof OTLP_REQUEST_SCHEMAS)[S]
  >;
}

/** The values of a record with these attributes, in OTLP's JSON. */
function valuesOf(logAttrs: AttributesTable): unknown[] {
  const batch = logs(1);
  const encoded = encode({ ...batch, logs: { ...batch.logs, id: ids(1) }, logAttrs }, 0);
  const schema: DescMessage = OTLP_REQUEST_SCHEMAS.logs;
  const json = toJson(schema, fromBinary(schema, encoded)) as unknown as {
    resourceLogs: [{ scopeLogs: [{ logRecords: [{ attributes: { value: unknown }[] }] }] }];
  };
  return json.resourceLogs[0].scopeLogs[0].logRecords[0].attributes.map(({ value }) => value);
}

function full(signal: Signal): CanonicalBatch {
  const schema: DescMessage = OTLP_REQUEST_SCHEMAS[signal];
  return decodeOtlp(signal, toBinary(schema, fullRequest(signal)), OTLP_CONTENT_TYPES.PROTOBUF);
}

/** Log records of nothing. */
function logs(rowCount: number): LogsBatch {
  return {
    signal: 'logs',
    resourceAttrs: null,
    scopeAttrs: null,
    repairedStrings: 0,
    logAttrs: null,
    logs: {
      rowCount,
      id: null,
      resourceId: null,
      resourceSchemaUrl: null,
      resourceDroppedAttributesCount: null,
      scopeId: null,
      scopeName: null,
      scopeVersion: null,
      scopeDroppedAttributesCount: null,
      schemaUrl: null,
      timeUnixNano: null,
      observedTimeUnixNano: null,
      traceId: null,
      spanId: null,
      severityNumber: null,
      severityText: null,
      body: null,
      droppedAttributesCount: null,
      flags: null,
      eventName: null,
    },
  };
}

function attributes(
  parents: readonly number[],
  types: readonly number[],
  values: Partial<Omit<AttributesTable, 'rowCount' | 'parentId' | 'type' | 'key'>>,
): AttributesTable {
  const none = { str: null, int: null, double: null, bool: null, bytes: null, ser: null, parentValidity: null };
  return {
    rowCount: parents.length,
    parentId: Uint32Array.from(parents),
    type: Uint8Array.from(types),
    key: texts(parents.map((_, i) => `key ${i}`)),
    ...none,
    ...values,
  };
}

function texts(values: readonly string[]): BytesColumn {
  return { ...binary(values.map((value) => Buffer.from(value))), kind: 'utf8' };
}

function binary(values: readonly Uint8Array[]): BytesColumn {
  const offsets = new Uint32Array(values.length + 1);
  for (const [i, value] of values.entries()) offsets[i + 1] = offsets[i]! + value.length;
  const pool = { bytes: new Uint8Array(Buffer.concat(values)), offsets, length: values.length };
  return { kind: 'binary', pool, indices: null, validity: null };
}

function ids(rowCount: number) {
  return { values: Uint32Array.from({ length: rowCount }, (_, row) => row), validity: null };
}

function elsewhere(rowCount: number) {
  return { values: new Uint32Array(rowCount).fill(1_000_000), validity: null };
}

function entry(key: string, value: unknown) {
  return { key, value };
}

function str(text: string) {
  return { stringValue: text };
}
