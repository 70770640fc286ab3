/**
 * Damaged requests. Goal: whatever arrives is refused with a field and a position, or decodes to sound tables, and says the same as
 * protobuf-es where both read it. Method: seeded mutations of real and of random requests, and requests made to hurt. Invariant:
 * BatchMalformedError, BatchTooLargeError or a batch of the rows that the inspection counted; nothing else is thrown, nothing hangs.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BatchMalformedError, BatchTooLargeError, LIMITS, type Signal, SIGNALS } from '../../src/base/index.ts';
import type { CanonicalBatch } from '../../src/otap/index.ts';
import { decodeOtlpProtobuf } from '../../src/otap/otlp-decoder.ts';
import { inspectOtlpProtobuf } from '../../src/otap/otlp-inspector.ts';
import { checkBatch } from '../helpers/batch-invariants.ts';
import { canonicalRows } from '../helpers/canonical-rows.ts';
import { readCapture } from '../helpers/captures.ts';
import { expectedRows } from '../helpers/expected-rows.ts';
import { fixed64Field, lengthField, randomRequest, varint } from '../helpers/otlp-wire-messages.ts';
import { mutate, type Random, seededRandom } from '../helpers/random.ts';
import { canonicalLines, type TelemetryRow } from '../helpers/telemetry-rows.ts';

const RUNS = 1500;
const REQUEST_BYTES_MAX = 20_000;

const captured = ['rich-1', 'odd-1', 'empties-1', 'hostmetrics-1'].flatMap((name) =>
  readCapture(name, 'expect')
    .filter(({ t, body }) => t === 'otlp' && body.length > 0 && body.length < REQUEST_BYTES_MAX)
    .map(({ signal, body }) => ({ signal: signal!, body: Uint8Array.from(body) })),
);

for (const signal of SIGNALS) {
  test(`damaged requests of ${signal} are refused by field and position, or read as protobuf-es reads them`, () => {
    const random = seededRandom(20_261_122);
    const bodies = captured.filter((request) => request.signal === signal).map(({ body }) => body);
    const counts = { taken: 0, refused: 0, compared: 0 };
    for (let run = 0; run < RUNS; run++) {
      const body = random.below(2) === 0 ? random.pick(bodies) : randomRequest(signal, run, { entityRefs: false });
      tryRequest(signal, damage(body, random), counts);
    }
    // All ways out are taken often, else the damage does not reach what it is for.
    assert.ok(counts.taken > 100 && counts.refused > 100 && counts.compared > 100, JSON.stringify(counts));
  });
}

test('a request that ends early is refused or read as protobuf-es reads it, wherever it ends', () => {
  for (const signal of SIGNALS) {
    const request = randomRequest(signal, 1, { entityRefs: false });
    const counts = { taken: 0, refused: 0, compared: 0 };
    for (let end = 0; end < request.length; end++) tryRequest(signal, request.subarray(0, end), counts);
    assert.ok(counts.refused > request.length / 2, JSON.stringify(counts));
  }
});

test('lengths and varints beyond all bounds are refused', () => {
  const rows = lengthField(1, lengthField(2, lengthField(2, fixed64Field(1, 5n))));
  const ends = [
    [0x0a, ...varint(2n ** 31n)],
    [0x0a, ...varint(2n ** 32n)],
    [0x0a, ...varint(2n ** 53n)],
    [0x0a, ...varint(2n ** 64n - 1n)],
    [0x0a, ...Array<number>(9).fill(0xff), 0x02],
    [...Array<number>(11).fill(0x80), 0x01],
    [0x80],
    [0x0b],
    [0x0c],
    [0x0e],
    [0x00],
    [0x08, 0x00],
  ];
  for (const end of ends) {
    assert.throws(() => decodeOtlpProtobuf('logs', Buffer.concat([rows, Buffer.from(end)])), BatchMalformedError);
  }
});

test('packed numbers that end within a number are refused', () => {
  const point = (kind: number, ...fields: Buffer[]) =>
    lengthField(1, lengthField(2, lengthField(2, lengthField(kind, lengthField(1, Buffer.concat(fields))))));
  const endless = Buffer.of(0xff);
  const requests = [
    ...[1, 7, 9, 15].flatMap((bytes) => [6, 7].map((field) => point(9, lengthField(field, Buffer.alloc(bytes))))),
    // As many bytes follow in the point as the last number lacks.
    ...[6, 7].map((field) => point(9, lengthField(field, Buffer.alloc(9)), fixed64Field(4, 1n))),
    ...[8, 9].map((field) => point(10, lengthField(field, lengthField(2, endless)), varint(0n))),
  ];
  for (const request of requests) {
    assert.throws(
      () => decodeOtlpProtobuf('metrics', request),
      (error: unknown) => error instanceof BatchMalformedError && /at byte \d+$/.test(error.message),
      request.toString('hex'),
    );
  }
});

test('varints of more than 64 bits are refused in every place, padded ones are not', () => {
  const of = (bytes: number, last: number) => [...Array<number>(bytes - 1).fill(0x80), last];
  const places: [string, (...value: number[]) => Buffer][] = [
    ['a known field', (...value) => recordOf(0x10, ...value)],
    ['a known field with a padded tag', (...value) => recordOf(0x90, 0x80, 0x00, ...value)],
    ['an unknown field', (...value) => recordOf(0x78, ...value)],
    ['a length', (...value) => recordOf(0x1a, ...value)],
  ];
  for (const [what, place] of places) {
    assert.equal(inspectOtlpProtobuf('logs', place(...of(10, 0))).rows, 1, what);
    for (const value of [of(10, 2), of(10, 0x7f), of(11, 0), of(12, 1)]) {
      assert.throws(() => inspectOtlpProtobuf('logs', place(...value)), /longer than 64 bits, at byte \d+$/, what);
    }
  }
  for (const [what, place] of places.slice(0, 3)) {
    assert.equal(inspectOtlpProtobuf('logs', place(...of(10, 1))).rows, 1, what);
  }
  const packed = (value: number[]) =>
    lengthField(10, lengthField(1, lengthField(8, lengthField(2, Buffer.from(value)))));
  const metric = (value: number[]) => lengthField(1, lengthField(2, lengthField(2, packed(value))));
  assert.equal(inspectOtlpProtobuf('metrics', metric(of(10, 1))).rows, 1);
  for (const value of [of(10, 2), of(11, 0)]) {
    assert.throws(() => inspectOtlpProtobuf('metrics', metric(value)), /longer than 64 bits, at byte \d+$/);
  }
});

test('a field of a wrong wire type is refused in every message', () => {
  const paths = [
    [],
    [1],
    [1, 1],
    [1, 2],
    [1, 2, 2],
    [1, 2, 2, 6],
    [1, 2, 2, 6, 2],
    [1, 2, 2, 5, 5],
    [1, 2, 2, 5, 6, 1],
  ];
  for (const path of paths) {
    const request = path.reduceRight<Buffer>(
      (content, number) => lengthField(number, content),
      Buffer.of(0x0d, 1, 2, 3, 4),
    );
    assert.throws(
      () => decodeOtlpProtobuf('logs', request),
      (error: unknown) => error instanceof BatchMalformedError && /wire type is 5/.test(error.message),
      path.join('.'),
    );
  }
});

test('more rows than a batch may have are refused before anything is allocated for them', () => {
  const records = (count: number) => lengthField(1, lengthField(2, Buffer.alloc(2 * count, Buffer.of(0x12, 0))));
  assert.equal(inspectOtlpProtobuf('logs', records(LIMITS.rootRowsMax)).rows, LIMITS.rootRowsMax);
  assert.throws(() => decodeOtlpProtobuf('logs', records(LIMITS.rootRowsMax + 1)), BatchTooLargeError);
  const attributes = (count: number) =>
    lengthField(1, lengthField(2, lengthField(2, Buffer.alloc(2 * count, Buffer.of(0x32, 0)))));
  // The record is a row as well.
  assert.equal(inspectOtlpProtobuf('logs', attributes(LIMITS.batchRowsMax - 1)).rows, 1);
  assert.throws(() => decodeOtlpProtobuf('logs', attributes(LIMITS.batchRowsMax)), BatchTooLargeError);
});

test('more numbers than fit the bytes of a batch are refused before anything is allocated for them', () => {
  const buckets = (count: number) =>
    [1, 2, 2, 10, 1, 8, 2].reduceRight<Buffer>((content, number) => lengthField(number, content), Buffer.alloc(count));
  const max = LIMITS.batchDecodedBytesMax / 8;
  assert.equal(inspectOtlpProtobuf('metrics', buckets(max)).rows, 1);
  assert.throws(() => decodeOtlpProtobuf('metrics', buckets(max + 1)), BatchTooLargeError);
});

test('values in as many pieces as fit a request are read once', () => {
  const pieces = 200_000;
  const split = Buffer.alloc(4 * pieces, Buffer.of(0x2a, 2, 0x0a, 0));
  for (const body of [split, lengthField(5, lengthField(1, split))]) {
    const record = lengthField(5, body);
    const batch = decodeOtlpProtobuf('logs', lengthField(1, lengthField(2, lengthField(2, record))));
    assert.equal(batch.signal === 'logs' && batch.logs.rowCount, 1);
  }
  const bodies = Buffer.alloc(8 * pieces, Buffer.of(0x2a, 6, 0x2a, 4, 0x0a, 2, 0x08, 1));
  assert.throws(
    () => decodeOtlpProtobuf('logs', lengthField(1, lengthField(2, lengthField(2, bodies)))),
    BatchMalformedError,
  );
});

/** A request of one log record. */
function recordOf(...content: number[]): Buffer {
  return lengthField(1, lengthField(2, lengthField(2, Buffer.from(content))));
}

interface Counts {
  taken: number;
  refused: number;
  compared: number;
}

function tryRequest(signal: Signal, request: Uint8Array, counts: Counts): void {
  const rejected = verdictOf(signal, request);
  let batch: CanonicalBatch;
  try {
    batch = decodeOtlpProtobuf(signal, request);
  } catch (error) {
    assert.ok(error instanceof BatchMalformedError || error instanceof BatchTooLargeError, String(error));
    assert.match(error.message, error instanceof BatchMalformedError ? /at byte \d+$/ : /above \d+$/);
    assert.equal(rejected, null, 'what the inspector passes decodes');
    counts.refused++;
    if (readsOf(signal, request) instanceof Error) return;
    // protobuf-es skips known fields of a wrong wire type and reads beyond the end of a message.
    assert.match(error.message, /wire type is|longer than what follows|truncated|longer than (32|64) bits|above/);
    return;
  }
  counts.taken++;
  checkBatch(batch);
  const rows = canonicalRows(batch, { exact: true });
  assert.notEqual(rejected, null);
  assert.equal(rows.filter(({ kind }) => kind !== 'metric').length, rejected!.rows);
  const expected = readsOf(signal, request);
  if (expected instanceof Error) {
    assert.match(
      expected.message,
      /not valid for encoding utf-8/,
      'only invalid UTF-8 is for protobuf-es alone to refuse',
    );
    return;
  }
  // protobuf-es leaves out no rows.
  if (rejected!.rejectedRows > 0) return;
  assert.deepEqual(canonicalLines(rows), canonicalLines(expected));
  counts.compared++;
}

function verdictOf(signal: Signal, request: Uint8Array) {
  try {
    return inspectOtlpProtobuf(signal, request);
  } catch (error) {
    assert.ok(error instanceof BatchMalformedError || error instanceof BatchTooLargeError, String(error));
    return null;
  }
}

function readsOf(signal: Signal, request: Uint8Array): TelemetryRow[] | Error {
  try {
    return expectedRows(signal, request, { exact: true });
  } catch (error) {
    assert.ok(error instanceof Error);
    return error;
  }
}

function damage(body: Uint8Array, random: Random): Uint8Array {
  let damaged = mutate(body, random);
  while (damaged.length > 0 && random.below(3) === 0) damaged = mutate(damaged, random);
  return damaged;
}
