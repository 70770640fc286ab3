/** What protobuf allows and hardly anyone writes, one by one; and rows that are left out. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BatchMalformedError, LIMITS, type Signal } from '../../src/base/index.ts';
import { type LogsBatch, type MetricsBatch, type TracesBatch, VALUE_TYPES } from '../../src/otap/index.ts';
import { decodeOtlpProtobuf } from '../../src/otap/otlp-decoder.ts';
import { inspectOtlpProtobuf } from '../../src/otap/otlp-inspector.ts';
import { checkBatch } from '../helpers/batch-invariants.ts';
import { canonicalRows } from '../helpers/canonical-rows.ts';
import { expectedRows } from '../helpers/expected-rows.ts';
import { fixed64, fixed64Field, lengthField, varint, varintField } from '../helpers/otlp-wire-messages.ts';
import { canonicalLines } from '../helpers/telemetry-rows.ts';

const TRACE_ID = Buffer.alloc(16, 7);
const SPAN_ID = Buffer.alloc(8, 9);
const NOTHING = Buffer.alloc(0);

test('attributes without key or value are rows', () => {
  const record = Buffer.concat([
    attribute(6, '', string('a')),
    attribute(6, 'none', NOTHING),
    lengthField(6, text(1, 'bare')),
    lengthField(6, NOTHING),
  ]);
  const { logAttrs } = decodeLogs(record);
  assert.equal(logAttrs?.rowCount, 4);
  assert.deepEqual([...logAttrs.type], [VALUE_TYPES.STR, VALUE_TYPES.EMPTY, VALUE_TYPES.EMPTY, VALUE_TYPES.EMPTY]);
});

test('scalars and strings keep their last value', () => {
  const record = Buffer.concat([
    fixed64Field(1, 5n),
    fixed64Field(1, 0n),
    text(3, 'INFO'),
    text(3, ''),
    text(12, 'first'),
    text(12, 'second'),
    lengthField(9, TRACE_ID),
    lengthField(9, NOTHING),
    lengthField(10, NOTHING),
    lengthField(10, SPAN_ID),
    varintField(2, 9n),
    varintField(2, 0n),
  ]);
  const { logs } = decodeLogs(record);
  assert.deepEqual([...logs.timeUnixNano!.values], [0n]);
  assert.equal(logs.traceId, null);
  assert.deepEqual(Buffer.from(logs.spanId!.values), SPAN_ID);
  assert.equal(logs.severityText, null);
});

test('an AnyValue in pieces is merged: lists of one kind join, another kind replaces', () => {
  const forms = [
    [string('a'), NOTHING],
    [string('a'), int(5n)],
    [array(string('a')), array(int(1n)), array()],
    [array(string('a')), map(['k', int(1n)]), map(['k', int(2n)])],
    [map(['k', int(1n)]), string('b'), map(['l', NOTHING])],
    [array(array(int(1n)), Buffer.concat([array(int(2n)), array(int(3n))]))],
    [Buffer.concat([array(int(1n)), lengthField(30, Buffer.from('unknown')), array(int(2n))])],
    [bytes(''), NOTHING],
    [array(bytes(''), NOTHING, boolean(2n ** 40n))],
  ];
  for (const pieces of forms) {
    decodeLogs(Buffer.concat(pieces.map((piece) => lengthField(5, piece))));
    decodeLogs(lengthField(5, Buffer.concat(pieces)));
    const values = pieces.map((piece) => lengthField(2, piece));
    decodeLogs(lengthField(6, Buffer.concat([...values.slice(1), text(1, 'key'), values[0]!])));
    decodeLogs(lengthField(5, lengthField(6, lengthField(1, Buffer.concat([...values, text(1, 'k'), text(1, 'l')])))));
  }
});

test('a value of a kind that is not known is none, whatever the values around it are', () => {
  const unknown = lengthField(30, Buffer.from('unknown'));
  const values = [bytes('a'), unknown, array(string('a')), unknown, array(), unknown, map(['k', int(1n)]), unknown];
  const { logAttrs } = decodeLogs(Buffer.concat(values.map((value) => attribute(6, 'key', value))));
  const { EMPTY, BYTES, SLICE, MAP } = VALUE_TYPES;
  assert.deepEqual([...logAttrs!.type], [BYTES, EMPTY, SLICE, EMPTY, SLICE, EMPTY, MAP, EMPTY]);
  decodeLogs(lengthField(5, array(...values)));
});

test('numbers inside maps keep all their bits', () => {
  const numbers = [0n, 23n, 24n, 255n, 256n, 65_535n, 65_536n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 63n - 1n];
  const integers = numbers.flatMap((value) => [int(value), int(-1n - value)]);
  const doubles = [0, -0, NaN, Infinity, -Infinity, Number.MIN_VALUE, 0.1].map((value) => double(value));
  decodeLogs(lengthField(5, array(...integers, ...doubles)));
});

test('long strings, lists and maps have lengths of every width', () => {
  for (const length of [23, 24, 255, 256, 65_535, 65_536]) {
    decodeLogs(lengthField(5, array(string('x'.repeat(length)), bytes('y'.repeat(length)))));
  }
  for (const length of [23, 24, 255, 256, 65_536]) {
    decodeLogs(lengthField(5, array(...Array.from({ length }, () => NOTHING))));
  }
  for (const length of [23, 24, 256])
    decodeLogs(lengthField(5, map(...Array.from({ length }, () => ['', NOTHING] as const))));
});

test('a resource and a scope behind their rows and in pieces belong to them', () => {
  const resource = [attribute(1, 'a', int(1n)), varintField(2, 3n), attribute(1, 'b', int(2n))];
  const scope = [text(1, 'name'), text(2, 'v1'), attribute(3, 'c', int(3n)), text(1, 'last name'), varintField(4, 9n)];
  const request = lengthField(
    1,
    Buffer.concat([
      text(3, 'resource url'),
      lengthField(1, resource[0]!),
      lengthField(
        2,
        Buffer.concat([lengthField(2, NOTHING), ...scope.map((piece) => lengthField(1, piece)), text(3, 'scope url')]),
      ),
      ...resource.slice(1).map((piece) => lengthField(1, piece)),
    ]),
  );
  const batch = check('logs', request) as LogsBatch;
  assert.equal(batch.resourceAttrs?.rowCount, 2);
  assert.equal(batch.scopeAttrs?.rowCount, 1);
});

test('resources and scopes without rows leave nothing', () => {
  const resource = lengthField(1, attribute(1, 'a', int(1n)));
  const scope = lengthField(1, attribute(3, 'b', int(1n)));
  const groups = [
    resource,
    Buffer.concat([resource, lengthField(2, scope)]),
    Buffer.concat([resource, lengthField(2, Buffer.concat([scope, lengthField(2, NOTHING)]))]),
  ];
  const batch = check('logs', Buffer.concat(groups.map((group) => lengthField(1, group)))) as LogsBatch;
  assert.equal(batch.logs.rowCount, 1);
  assert.equal(batch.resourceAttrs?.rowCount, 1);
  assert.equal(batch.scopeAttrs?.rowCount, 1);
  for (const signal of ['logs', 'traces', 'metrics'] as const) check(signal, NOTHING);
});

test('a span that ends before it starts has a duration below 0, and a status comes in pieces', () => {
  const span = Buffer.concat([
    fixed64Field(8, 5n),
    lengthField(15, varintField(3, 2n)),
    fixed64Field(7, 2n ** 32n + 7n),
    lengthField(15, text(2, 'failed')),
  ]);
  const { spans } = check('traces', rowsRequest(span)) as TracesBatch;
  assert.deepEqual([...spans.durationTimeUnixNano!.values], [-(2n ** 32n) - 2n]);
});

test("a metric's data may precede its name; data of one kind merge, another kind replaces", () => {
  const point = (value: bigint) => lengthField(1, fixed64Field(6, value));
  const gauge = (value: bigint) => lengthField(5, point(value));
  const sum = (value: bigint) => lengthField(7, Buffer.concat([point(value), varintField(2, 2n), varintField(3, 1n)]));
  const cases: [Buffer[], bigint[]][] = [
    [
      [gauge(1n), text(1, 'name'), gauge(2n)],
      [1n, 2n],
    ],
    [[gauge(1n), sum(2n)], [2n]],
    [[sum(1n), gauge(2n), sum(3n), lengthField(7, varintField(3, 0n))], [3n]],
    [[sum(1n), lengthField(11, NOTHING)], []],
  ];
  for (const [fields, values] of cases) {
    const request = rowsRequest(Buffer.concat(fields));
    const { numberDataPoints } = check('metrics', request) as MetricsBatch;
    assert.deepEqual([...(numberDataPoints?.intValue?.values ?? [])], values);
    assert.equal(inspectOtlpProtobuf('metrics', request).rows, values.length);
  }
});

test('fields that only other kinds of metrics have are unknown ones, whatever their wire type', () => {
  const unknown = (number: number) => [varintField(number, 1n), lengthField(number, Buffer.alloc(7, 0x80))];
  for (const [kind, ...numbers] of [
    [5, 2, 3],
    [9, 3],
    [10, 3],
    [11, 2, 3],
  ] as const) {
    const data = Buffer.concat([lengthField(1, NOTHING), ...numbers.flatMap(unknown)]);
    const { metrics } = check('metrics', rowsRequest(lengthField(kind, data))) as MetricsBatch;
    assert.deepEqual([metrics.aggregationTemporality, metrics.isMonotonic], [null, null]);
  }
});

test('rejected points of data that is replaced count neither way', () => {
  const bad = lengthField(1, lengthField(5, lengthField(4, Buffer.of(1))));
  const good = lengthField(1, fixed64Field(6, 1n));
  const replaced = rowsRequest(Buffer.concat([lengthField(5, Buffer.concat([bad, good])), lengthField(7, good)]));
  const inspected = inspectOtlpProtobuf('metrics', replaced);
  assert.deepEqual([inspected.rows, inspected.rejectedRows, inspected.rejection], [1, 0, null]);
  check('metrics', replaced);
});

test('repeated numbers come packed, unpacked and mixed', () => {
  const packed = lengthField(6, Buffer.concat([fixed64(1n), fixed64(2n ** 64n - 1n)]));
  const histogram = Buffer.concat([
    packed,
    fixed64Field(6, 3n),
    fixed64Field(7, 0n),
    lengthField(6, NOTHING),
    packed,
    lengthField(7, fixed64(0x7ff8_0000_0000_0000n)),
  ]);
  const buckets = [
    lengthField(2, Buffer.concat([varint(1n), varint(2n ** 64n - 1n), varint(0n, 3)])),
    varintField(2, 300n),
    varintField(1, 5n),
  ];
  const expHistogram = Buffer.concat([8, 9, 8].flatMap((number) => buckets.map((piece) => lengthField(number, piece))));
  check('metrics', rowsRequest(lengthField(9, Buffer.concat([lengthField(1, histogram), lengthField(1, NOTHING)]))));
  check(
    'metrics',
    rowsRequest(lengthField(10, Buffer.concat([lengthField(1, NOTHING), lengthField(1, expHistogram)]))),
  );
});

test('sum, min and max of 0 are there, and values that the other kind replaced are not', () => {
  const histogram = lengthField(
    1,
    Buffer.concat([fixed64Field(5, 0n), fixed64Field(11, 0n), fixed64Field(12, 2n ** 63n)]),
  );
  const { histogramDataPoints: points } = check(
    'metrics',
    rowsRequest(lengthField(9, Buffer.concat([histogram, lengthField(1, NOTHING)]))),
  ) as MetricsBatch;
  for (const column of [points!.sum, points!.min, points!.max]) assert.deepEqual([...column!.validity!], [1, 0]);
});

test('of an integer and a double the last one is the value, of points and of exemplars', () => {
  for (const [doubleNumber, wrap] of [
    [4, (value: Buffer) => value],
    [3, (value: Buffer) => lengthField(5, value)],
  ] as const) {
    const valueOf = (...fields: Buffer[]) => {
      const request = rowsRequest(lengthField(5, lengthField(1, wrap(Buffer.concat(fields)))));
      const { numberDataPoints, numberDpExemplars } = check('metrics', request) as MetricsBatch;
      const { intValue, doubleValue } = numberDpExemplars ?? numberDataPoints!;
      return [intValue?.values[0] ?? null, doubleValue?.values[0] ?? null];
    };
    const asInt = fixed64Field(6, 5n);
    const asDouble = fixed64Field(doubleNumber, 0x3ff0_0000_0000_0000n);
    assert.deepEqual(valueOf(asInt, asDouble), [null, 1]);
    assert.deepEqual(valueOf(asDouble, asInt), [5n, null]);
  }
});

test('identifiers of zeros are identifiers', () => {
  const { logs } = decodeLogs(Buffer.concat([lengthField(9, Buffer.alloc(16)), lengthField(10, Buffer.alloc(8))]));
  assert.equal(logs.traceId!.validity, null);
  assert.equal(logs.spanId!.values.length, 8);
});

test('strings are views of the request', () => {
  const request = rowsRequest(Buffer.concat([text(3, 'INFO'), attribute(6, 'key', string('value'))]));
  const { logs, logAttrs } = decodeOtlpProtobuf('logs', request) as LogsBatch;
  for (const column of [logs.severityText!, logAttrs!.key, logAttrs!.str!]) {
    assert.equal(column.pool.bytes.buffer, request.buffer);
  }
});

test('each string that is not UTF-8 is counted once, replaced ones not at all', () => {
  const bad = Buffer.of(0x61, 0xff);
  const record = Buffer.concat([
    lengthField(3, bad),
    text(3, 'INFO'),
    lengthField(12, bad),
    lengthField(5, array(lengthField(1, bad), map([bad, lengthField(1, bad)]))),
    lengthField(6, Buffer.concat([lengthField(1, bad), lengthField(2, lengthField(1, bad))])),
  ]);
  const batch = decodeOtlpProtobuf('logs', Buffer.concat([rowsRequest(record), rowsRequest(NOTHING, record)]));
  checkBatch(batch);
  assert.equal(batch.repairedStrings, 12);
});

test('strings that are valid only with what follows them are repaired', () => {
  const request = rowsRequest(Buffer.concat([lengthField(3, Buffer.of(0xc3)), lengthField(12, Buffer.of(0xbc))]));
  assert.equal(decodeOtlpProtobuf('logs', request).repairedStrings, 2);
  // The one invalid byte with a single bit.
  const lone = rowsRequest(lengthField(3, Buffer.of(0x80)));
  assert.equal(decodeOtlpProtobuf('logs', lone).repairedStrings, 1);
});

test('rows with a fault of their own are left out with all that is theirs', () => {
  const faults = [
    lengthField(9, Buffer.alloc(15)),
    lengthField(10, Buffer.alloc(16)),
    lengthField(5, nested(LIMITS.cborDepthMax + 1)),
    attribute(6, 'deep', nested(LIMITS.cborDepthMax + 1)),
  ];
  for (const fault of faults) {
    const bad = Buffer.concat([attribute(6, 'bad', string('bad')), text(3, 'BAD'), fault]);
    const good = Buffer.concat([text(3, 'INFO'), attribute(6, 'good', string('good'))]);
    const request = rowsRequest(bad, good, bad, good);
    const batch = decodeOtlpProtobuf('logs', request);
    checkBatch(batch);
    const expected = expectedRows('logs', rowsRequest(good, good), { exact: true });
    assert.deepEqual(canonicalLines(canonicalRows(batch, { exact: true })), canonicalLines(expected));
    const { rows, rejectedRows, rejection } = inspectOtlpProtobuf('logs', request);
    assert.deepEqual([rows, rejectedRows], [2, 2]);
    assert.match(rejection!, /^Cannot read .+, at byte \d+$/);
  }
  const { logs } = decodeOtlpProtobuf('logs', rowsRequest(...faults)) as LogsBatch;
  assert.equal(logs.rowCount, 0);
});

test('a row with several faults is left out once, for the first of them', () => {
  const bad = Buffer.concat([
    lengthField(9, Buffer.alloc(15)),
    lengthField(10, Buffer.alloc(3)),
    attribute(6, 'deep', nested(LIMITS.cborDepthMax + 1)),
  ]);
  const { rows, rejectedRows, rejection } = inspectOtlpProtobuf('logs', rowsRequest(bad, NOTHING, bad));
  assert.deepEqual([rows, rejectedRows], [1, 2]);
  assert.match(rejection!, /^Cannot read LogRecord\.trace_id: its length is 15, not 16, at byte \d+$/);
});

test('a metric whose points are left out stays, and so do its other points', () => {
  const bad = lengthField(1, lengthField(5, lengthField(5, Buffer.alloc(3))));
  const good = lengthField(1, Buffer.concat([fixed64Field(6, 4n), lengthField(5, lengthField(5, TRACE_ID))]));
  const request = rowsRequest(lengthField(5, Buffer.concat([bad, good, bad])), lengthField(5, bad));
  const batch = decodeOtlpProtobuf('metrics', request) as MetricsBatch;
  checkBatch(batch);
  assert.equal(batch.metrics.rowCount, 2);
  assert.equal(batch.numberDataPoints!.rowCount, 1);
  assert.equal(batch.numberDpExemplars!.rowCount, 1);
  const { rows, rejectedRows } = inspectOtlpProtobuf('metrics', request);
  assert.deepEqual([rows, rejectedRows], [1, 3]);
});

test('the deepest nesting that is taken decodes', () => {
  decodeLogs(lengthField(5, nested(LIMITS.cborDepthMax)));
});

test('a resource with nesting too deep refuses the request, before its rows and behind them', () => {
  const resource = lengthField(1, attribute(1, 'deep', nested(LIMITS.cborDepthMax + 1)));
  const rows = lengthField(2, lengthField(2, NOTHING));
  for (const group of [
    [resource, rows],
    [rows, resource],
  ]) {
    assert.throws(() => decodeOtlpProtobuf('logs', lengthField(1, Buffer.concat(group))), BatchMalformedError);
  }
});

function decodeLogs(record: Uint8Array): LogsBatch {
  return check('logs', rowsRequest(record)) as LogsBatch;
}

/** Decodes, compares with protobuf-es, returns the batch. */
function check(signal: Signal, request: Uint8Array) {
  const batch = decodeOtlpProtobuf(signal, request);
  checkBatch(batch);
  const actual = canonicalLines(canonicalRows(batch, { exact: true }));
  assert.deepEqual(actual, canonicalLines(expectedRows(signal, request, { exact: true })));
  return batch;
}

/** A request of one resource and scope: the numbers of these fields are the same for all signals. */
function rowsRequest(...rows: Uint8Array[]): Buffer {
  return lengthField(1, lengthField(2, Buffer.concat(rows.map((row) => lengthField(2, row)))));
}

function text(number: number, value: string): Buffer {
  return lengthField(number, Buffer.from(value));
}

function attribute(number: number, key: string, value: Uint8Array): Buffer {
  return lengthField(number, Buffer.concat([text(1, key), lengthField(2, value)]));
}

function string(value: string): Buffer {
  return text(1, value);
}

function boolean(value: bigint): Buffer {
  return varintField(2, value);
}

function int(value: bigint): Buffer {
  return varintField(3, value);
}

function double(value: number): Buffer {
  const content = Buffer.alloc(8);
  content.writeDoubleLE(value);
  return fixed64Field(4, content.readBigUInt64LE());
}

function bytes(value: string): Buffer {
  return text(7, value);
}

function array(...items: Uint8Array[]): Buffer {
  return lengthField(5, Buffer.concat(items.map((item) => lengthField(1, item))));
}

function map(...entries: (readonly [key: string | Uint8Array, value: Uint8Array])[]): Buffer {
  const fields = entries.map(([key, value]) =>
    lengthField(1, Buffer.concat([lengthField(1, Buffer.from(key as string)), lengthField(2, value)])),
  );
  return lengthField(6, Buffer.concat(fields));
}

/** Arrays in arrays, `depth` of them. */
function nested(depth: number): Buffer {
  let value: Buffer = NOTHING;
  for (let level = 0; level < depth; level++) value = array(value);
  return value;
}
