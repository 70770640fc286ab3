/**
 * Streams of encoded batches. Goal: whatever comes one after the other on a stream, receivers read what was in it. Method: random
 * batches of all signals, and log batches whose words make dictionaries grow past their bounds; read back by our own inspector and
 * decoder, and by apache-arrow. Invariant: equal rows, sound batches, one schema message a schema id.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DataType, RecordBatchReader } from 'apache-arrow';
import fc from 'fast-check';
import { BatchTooLargeError, LIMITS, SIGNALS } from '../../src/base/index.ts';
import { scanBatchEnvelope } from '../../src/otap/batch-envelope.ts';
import {
  type AttributesTable,
  type BytesColumn,
  type CanonicalBatch,
  createStreamDecoder,
  createStreamInspector,
  type LogsBatch,
  type MetricsBatch,
  PAYLOAD_TYPES,
  type StreamEncoder,
  VALUE_TYPES,
} from '../../src/otap/index.ts';
import { createStreamEncoder } from '../../src/otap/stream-encoder.ts';
import { walkIpcMessages } from '../../src/otap/ipc-messages.ts';
import { decodeOtlpProtobuf } from '../../src/otap/otlp-decoder.ts';
import { checkBatch } from '../helpers/batch-invariants.ts';
import { canonicalRows } from '../helpers/canonical-rows.ts';
import { randomRequest } from '../helpers/otlp-wire-messages.ts';
import { canonicalLines } from '../helpers/telemetry-rows.ts';

const RUNS = 30;
const WORD_RUNS = 15;
const seeds = fc.integer({ min: 0, max: 2 ** 31 - 1 });

for (const signal of SIGNALS) {
  test(`random batches of ${signal} on one stream decode to their rows`, () => {
    let rows = 0;
    fc.assert(
      fc.property(fc.array(seeds, { minLength: 1, maxLength: 6 }), (sequence) => {
        const batches = sequence.map((seed) => decodeOtlpProtobuf(signal, randomRequest(signal, seed)));
        rows += checkStream(batches);
      }),
      { numRuns: RUNS },
    );
    assert.ok(rows > RUNS, `${rows} rows`);
  });
}

test('attributes of metrics are sent where the receiver takes them', () => {
  let attributes = 0;
  fc.assert(
    fc.property(seeds, (seed) => {
      const batch = decodeOtlpProtobuf('metrics', randomRequest('metrics', seed)) as MetricsBatch;
      const decode = (encoder: StreamEncoder) =>
        createStreamDecoder('metrics').decode(encoder.encode(batch, 0n)) as MetricsBatch;
      const withThem = decode(createStreamEncoder('metrics', { hasMetricAttrs: true }));
      assert.equal(withThem.metricAttrs?.rowCount ?? 0, batch.metricAttrs?.rowCount ?? 0);
      assert.equal(decode(createStreamEncoder('metrics')).metricAttrs, null);
      attributes += withThem.metricAttrs?.rowCount ?? 0;
    }),
    { numRuns: RUNS },
  );
  assert.ok(attributes > 0);
});

test('words of random batches are read back while dictionaries grow, overflow and are given up', () => {
  const words = fc.record({
    count: fc.integer({ min: 0, max: 1500 }),
    first: fc.nat(400),
    different: fc.integer({ min: 1, max: 900 }),
    hasBody: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(words, { minLength: 1, maxLength: 8 }), (batches) => {
      checkStream(
        batches.map(({ count, first, different, hasBody }) =>
          logsOf(hasBody ? Array.from({ length: count }, (_, row) => `word ${first + (row % different)}`) : [], count),
        ),
      );
    }),
    { numRuns: WORD_RUNS },
  );
});

test('a dictionary starts with 8 bits, goes on with 16 and is given up past 65,535 entries', () => {
  const encoder = createStreamEncoder('logs');
  const decoder = createStreamDecoder('logs');
  const repeated = (from: number, count: number) =>
    Array.from({ length: 3 * count }, (_, row) => (from + Math.floor(row / 3)).toString(36));
  const steps: [words: string[], type: string][] = [
    [repeated(0, 200), 'Dictionary<Uint8, Utf8>'],
    [repeated(100, 155), 'Dictionary<Uint8, Utf8>'],
    [repeated(255, 1), 'Dictionary<Uint16, Utf8>'],
    [repeated(0, 20_000), 'Dictionary<Uint16, Utf8>'],
    [repeated(20_000, 20_000), 'Dictionary<Uint16, Utf8>'],
    [repeated(40_000, 20_000), 'Dictionary<Uint16, Utf8>'],
    // Most values repeat: the dictionary begins anew.
    [repeated(60_000, 20_000), 'Dictionary<Uint16, Utf8>'],
    // More than any dictionary takes.
    [Array.from({ length: 131_072 }, (_, row) => `${row >> 1}`), 'Utf8'],
    [repeated(0, 10), 'Utf8'],
  ];
  const types: string[] = [];
  for (const [words] of steps) {
    const encoded = encoder.encode(logsOf(words, words.length), 0n);
    types.push(bodyType(encoded) ?? types.at(-1)!);
    assert.deepEqual(bodiesOf(decoder.decode(encoded)), words);
  }
  assert.deepEqual(
    types,
    steps.map(([, type]) => type),
  );
});

test('values that hardly repeat are sent without a dictionary', () => {
  const encoder = createStreamEncoder('logs');
  const words = Array.from({ length: 1000 }, (_, row) => `word ${row}`);
  assert.equal(bodyType(encoder.encode(logsOf(words, words.length), 0n)), 'Utf8');
  assert.ok(encoder.stateBytes < 4096, `${encoder.stateBytes}`);
});

test('a dictionary of long values stays within its bytes', () => {
  const encoder = createStreamEncoder('logs');
  const decoder = createStreamDecoder('logs');
  const long = (index: number) => `${index} `.padEnd(LIMITS.encoderDictionaryBytesMax / 8, 'x');
  for (let batch = 0; batch < 6; batch++) {
    const words = Array.from({ length: 6 }, (_, row) => long(batch * 2 + Math.floor(row / 3)));
    const encoded = encoder.encode(logsOf(words, words.length), 0n);
    assert.deepEqual(bodiesOf(decoder.decode(encoded)), words);
  }
});

test('state counts schemas and dictionaries, and grows by what is new', () => {
  const encoder = createStreamEncoder('logs');
  assert.equal(encoder.stateBytes, 0);
  encoder.encode(logsOf(['a', 'b'], 2), 0n);
  const first = encoder.stateBytes;
  assert.ok(first > 0);
  encoder.encode(logsOf(['b', 'a'], 2), 1n);
  assert.equal(encoder.stateBytes, first);
  encoder.encode(logsOf(['c', 'a'], 2), 2n);
  assert.ok(encoder.stateBytes > first && encoder.stateBytes < first + 512);
});

test('more ids than 16 bits tell apart are refused, and the stream goes on as if they had not come', () => {
  const count = 65_537;
  const ids = Uint32Array.from({ length: count }, (_, row) => row);
  const tooLarge: LogsBatch = {
    ...logsOf(['a'], count),
    logAttrs: attributesOf(ids, 'key'),
  };
  const batches = [logsOf(['a'], 1), logsOf(['b', 'a'], 2)];
  const encode = (encoder: StreamEncoder, batch: CanonicalBatch) => Buffer.from(encoder.encode(batch, 7n));
  const undisturbed = createStreamEncoder('logs');
  const disturbed = createStreamEncoder('logs');
  for (const batch of batches) {
    const expected = encode(undisturbed, batch);
    assert.throws(() => disturbed.encode(tooLarge, 6n), BatchTooLargeError);
    assert.deepEqual(encode(disturbed, batch), expected);
    assert.equal(disturbed.stateBytes, undisturbed.stateBytes);
  }
});

test('a batch that cannot be read leaves a stream that goes on', () => {
  const [encoder, decoder] = [createStreamEncoder('logs'), createStreamDecoder('logs')];
  decoder.decode(encoder.encode(logsOf(['a'], 1), 0n));
  const broken = logsOf(['b', 'c'], 2);
  const eventName: BytesColumn = {
    ...textColumn(['d', 'e'], 2),
    pool: {
      get bytes(): Uint8Array {
        throw new Error('The pool is gone');
      },
      offsets: new Uint32Array(3),
      length: 2,
    },
  };
  assert.throws(() => encoder.encode({ ...broken, logs: { ...broken.logs, eventName } }, 1n), /The pool is gone/);
  for (const words of [['b', 'a'], ['c']]) {
    assert.deepEqual(bodiesOf(decoder.decode(encoder.encode(logsOf(words, words.length), 1n))), words);
  }
});

test('ids above 16 bits are renumbered, children follow their parents', () => {
  const ids = Uint32Array.of(4_000_000_000, 70_000, 5);
  const batch: LogsBatch = {
    ...logsOf(['a', 'b', 'c'], 3, ids),
    logAttrs: attributesOf(Uint32Array.of(5, 70_000, 5, 4_000_000_000), 'key'),
  };
  assert.equal(checkStream([batch]), 3);
});

test('children without a parent become those of no row', () => {
  const attributes = attributesOf(Uint32Array.of(0, 0, 1), 'key');
  const batch: LogsBatch = {
    ...logsOf(['a', 'b'], 2, Uint32Array.of(0, 1)),
    logAttrs: { ...attributes, parentValidity: Uint8Array.of(0, 1, 1) },
  };
  const { logAttrs } = createStreamDecoder('logs').decode(createStreamEncoder('logs').encode(batch, 0n)) as LogsBatch;
  assert.deepEqual([...logAttrs!.parentId], [2, 0, 1]);
});

test('rows without a resource are not those of the row before', () => {
  const logs = logsOf(['a', 'b', 'c'], 3);
  const resourceId = { values: Uint16Array.of(1, 0, 1), validity: Uint8Array.of(1, 0, 1) };
  const batch: LogsBatch = {
    ...logs,
    logs: { ...logs.logs, resourceId },
    resourceAttrs: attributesOf(Uint32Array.of(1), 'key'),
  };
  const decoded = createStreamDecoder('logs').decode(createStreamEncoder('logs').encode(batch, 0n)) as LogsBatch;
  assert.deepEqual([...decoded.logs.resourceId!.values], [1, 2, 1]);
  assert.equal(checkStream([batch]), 3);
});

test('a map without its bytes is sent as an empty one', () => {
  const logs = logsOf([], 2);
  const type = Uint8Array.of(VALUE_TYPES.MAP, VALUE_TYPES.SLICE);
  const body = { type, str: null, int: null, double: null, bool: null, bytes: null, ser: null };
  const batch: LogsBatch = { ...logs, logs: { ...logs.logs, body } };
  const decoded = createStreamDecoder('logs').decode(createStreamEncoder('logs').encode(batch, 0n)) as LogsBatch;
  assert.deepEqual(
    [0, 1].map((row) => [...bytesOf(decoded.logs.body!.ser!, row)]),
    [[0xa0], [0x80]],
  );
});

/** Encodes batches on one stream and reads them in both ways; returns the number of rows. */
function checkStream(batches: readonly CanonicalBatch[]): number {
  const { signal } = batches[0]!;
  const [encoder, decoder] = [createStreamEncoder(signal), createStreamDecoder(signal)];
  const inspector = createStreamInspector(signal);
  const streams = new Map<string, Uint8Array[]>();
  let rows = 0;
  for (const [index, batch] of batches.entries()) {
    const encoded = encoder.encode(batch, BigInt(index));
    assert.equal(inspector.inspect(encoded).batchId, BigInt(index));
    const decoded = decoder.decode(encoded);
    checkBatch(decoded);
    const actual = canonicalLines(canonicalRows(decoded));
    assert.deepEqual(actual, canonicalLines(canonicalRows(batch)));
    rows += actual.length;
    for (const { type, schemaId, start, end } of scanBatchEnvelope(encoded).payloads) {
      const key = `${type}/${schemaId}`;
      streams.set(key, [...(streams.get(key) ?? []), encoded.subarray(start, end)]);
    }
  }
  for (const parts of streams.values()) checkArrowStream(parts);
  return rows;
}

/** What was sent of one schema is one stream to apache-arrow. */
function checkArrowStream(parts: readonly Uint8Array[]): void {
  const bytes = new Uint8Array(Buffer.concat(parts));
  const kinds = [...walkIpcMessages(bytes, 0, bytes.length)].map(({ kind }) => kind);
  assert.equal(kinds.filter((kind) => kind === 'schema').length, 1);
  const batches = [...RecordBatchReader.from(bytes)];
  assert.equal(batches.length, parts.length);
  for (const batch of batches) {
    for (const row of batch)
      JSON.stringify(row, (_, value: unknown) => (typeof value === 'bigint' ? `${value}` : value));
  }
}

/** Arrow type of `body.str` where the batch begins a schema. */
function bodyType(encoded: Uint8Array): string | null {
  const payload = scanBatchEnvelope(encoded).payloads.find(({ type }) => type === PAYLOAD_TYPES.LOGS)!;
  const bytes = Uint8Array.from(encoded.subarray(payload.start, payload.end));
  if ([...walkIpcMessages(bytes, 0, bytes.length)][0]!.kind !== 'schema') return null;
  const reader = RecordBatchReader.from(bytes).open();
  const body = reader.schema.fields.find(({ name }) => name === 'body')!;
  assert.ok(DataType.isStruct(body.type));
  return String(body.type.children.find(({ name }) => name === 'str')!.type);
}

function bodiesOf(batch: CanonicalBatch): string[] {
  const { str, type } = (batch as LogsBatch).logs.body!;
  return Array.from(type, (_, row) => Buffer.from(bytesOf(str!, row)).toString());
}

function bytesOf({ pool, indices }: BytesColumn, row: number): Uint8Array {
  const entry = indices === null ? row : indices[row]!;
  return pool.bytes.subarray(pool.offsets[entry], pool.offsets[entry + 1]);
}

/** Logs with these bodies in their first rows. */
function logsOf(words: readonly string[], rowCount: number, ids: Uint32Array | null = null): LogsBatch {
  const none = { resourceAttrs: null, scopeAttrs: null, logAttrs: null, repairedStrings: 0 };
  const type = Uint8Array.from({ length: rowCount }, (_, row) => (row < words.length ? VALUE_TYPES.STR : 0));
  const validity = Uint8Array.from({ length: rowCount }, (_, row) => (row < words.length ? 1 : 0));
  const str = { ...textColumn(words, rowCount), validity };
  return {
    signal: 'logs',
    ...none,
    logs: {
      rowCount,
      id: ids === null ? null : { values: ids, validity: null },
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
      body: { type, str, int: null, double: null, bool: null, bytes: null, ser: null },
      droppedAttributesCount: null,
      flags: null,
      eventName: null,
    },
  };
}

function attributesOf(parentId: Uint32Array, key: string): AttributesTable {
  const rowCount = parentId.length;
  const values = { int: null, double: null, bool: null, bytes: null, ser: null };
  return {
    rowCount,
    parentId,
    parentValidity: null,
    key: textColumn(Array<string>(rowCount).fill(key), rowCount),
    type: new Uint8Array(rowCount).fill(VALUE_TYPES.STR),
    str: textColumn(
      Array.from(parentId, (id) => `${id % 3}`),
      rowCount,
    ),
    ...values,
  };
}

function textColumn(words: readonly string[], rowCount: number): BytesColumn {
  const parts = words.map((word) => Buffer.from(word));
  const offsets = new Uint32Array(rowCount + 1);
  for (let row = 0; row < rowCount; row++) offsets[row + 1] = offsets[row]! + (parts[row]?.length ?? 0);
  return {
    kind: 'utf8',
    pool: { bytes: Buffer.concat(parts), offsets, length: rowCount },
    indices: null,
    validity: null,
  };
}
