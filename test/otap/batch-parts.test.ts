/**
 * Parts of batches: filters and pieces. Goal: nothing too much and nothing too little, with all that belongs to it. Method: random
 * requests and captures against a model that looks at one row after the other. Invariant: the rows of the parts are the model's.
 */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import fc from 'fast-check';
import { type Signal, SIGNALS } from '../../src/base/index.ts';
import {
  type CanonicalBatch,
  createStreamDecoder,
  decodeOtlp,
  decompressZstd,
  initZstd,
  OTLP_CONTENT_TYPES,
  type RowFilter,
} from '../../src/otap/index.ts';
import { countItems, encodeOtlp, filterBatch, splitBatch } from '../../src/otap/encoders.ts';
import { checkBatch } from '../helpers/batch-invariants.ts';
import { canonicalRows } from '../helpers/canonical-rows.ts';
import { captureNames, readArrowStreams } from '../helpers/captures.ts';
import { lengthField, randomRequest, varintField } from '../helpers/otlp-wire-messages.ts';
import { type Random, seededRandom } from '../helpers/random.ts';
import { canonicalLines, type Pair, type TelemetryRow, type TypedValue } from '../helpers/telemetry-rows.ts';

const MESSAGE_BYTES_MAX = 64 * 1024 * 1024;
const RUNS = 150;
const seeds = fc.integer({ min: 0, max: 2 ** 31 - 1 });
/** Its messages are what was on the wire. */
const COMPRESSED = 'wire-1';

before(() => initZstd());

for (const signal of SIGNALS) {
  test(`filters of random ${signal} keep the rows that have what is asked for`, () => {
    const seen = { none: 0, some: 0, all: 0 };
    fc.assert(
      fc.property(seeds, (seed) => {
        const random = seededRandom(seed);
        const batch = randomBatch(signal, seed);
        for (let i = 0; i < 5; i++) seen[checkFilter(batch, randomFilter(canonicalRows(batch), random))]++;
      }),
      { numRuns: RUNS },
    );
    assert.ok(seen.none > 10 && seen.some > 10 && seen.all > 10, JSON.stringify(seen));
  });

  test(`pieces of random ${signal} have the rows of the batch together`, () => {
    fc.assert(
      fc.property(seeds, fc.integer({ min: 1, max: 12 }), (seed, itemsMax) => {
        checkPieces(randomBatch(signal, seed), itemsMax);
      }),
      { numRuns: RUNS },
    );
  });
}

for (const name of captureNames({ shared: false })) {
  const streams = readArrowStreams(name).filter(({ messages }) => messages.length > 0);
  if (streams.length === 0) continue;
  test(`filters and pieces of capture ${name} have the rows that they should`, () => {
    const random = seededRandom(1);
    for (const stream of streams) {
      const decoder = createStreamDecoder(stream.arrowSignal);
      for (const message of stream.messages) {
        const batch = decoder.decode(name === COMPRESSED ? decompressZstd(message, MESSAGE_BYTES_MAX) : message);
        checkFilter(batch, randomFilter(canonicalRows(batch), random));
        checkPieces(batch, 1 + random.below(2 * countItems(batch)));
      }
    }
  });
}

test('filters compare values by their text', () => {
  const values: readonly (readonly [Buffer, string | null])[] = [
    [lengthField(1, Buffer.from('wörd')), 'wörd'],
    [lengthField(1, Buffer.alloc(0)), ''],
    [varintField(2, 1n), 'true'],
    [varintField(2, 0n), 'false'],
    [varintField(3, -9_007_199_254_740_993n), '-9007199254740993'],
    [varintField(3, 0n), '0'],
    [double(-0), '-0'],
    [double(0.1), '0.1'],
    [double(2), '2'],
    [double(1e21), '1e+21'],
    [double(NaN), 'NaN'],
    [double(-Infinity), '-Infinity'],
    [lengthField(7, Buffer.from([0xff, 0])), '/wA='],
    [lengthField(5, Buffer.alloc(0)), '[]'],
    [lengthField(6, Buffer.alloc(0)), '{}'],
    [lengthField(5, lengthField(1, varintField(3, 7n))), '[7]'],
    [lengthField(6, lengthField(1, keyValue('a', lengthField(1, Buffer.from('b'))))), '{"a":"b"}'],
    [Buffer.alloc(0), null],
  ];
  const records = values.map(([value]) => lengthField(2, lengthField(6, keyValue('key', value))));
  const request = lengthField(1, lengthField(2, Buffer.concat(records)));
  const batch = decode('logs', request);
  const texts = values.map(([, text]) => text);
  for (const text of [...texts, '00', '2.0', 'TRUE', 'nan', '+0', '1e21', 'null']) {
    const kept = filterBatch(batch, { attributes: { key: text ?? 'null' } });
    const expected = text === null ? 0 : texts.filter((other) => other === text).length;
    assert.equal(kept === null ? 0 : countItems(kept), expected, String(text));
  }
});

test('a filter without conditions keeps the batch, one of two conditions asks for both', () => {
  const record = lengthField(2, Buffer.concat([attribute('a', '1'), attribute('b', '2')]));
  const other = lengthField(2, Buffer.concat([attribute('a', '1'), attribute('b', '3')]));
  const batch = decode('logs', lengthField(1, lengthField(2, Buffer.concat([record, other]))));
  assert.equal(filterBatch(batch, {}), batch);
  assert.equal(filterBatch(batch, { resource: {}, attributes: {} }), batch);
  assert.equal(filterBatch(batch, { attributes: { a: '1' } }), batch);
  assert.equal(countItems(filterBatch(batch, { attributes: { a: '1', b: '3' } })!), 1);
  assert.equal(filterBatch(batch, { attributes: { a: '1', b: '4' } }), null);
  assert.equal(filterBatch(batch, { resource: { a: '1' } }), null);
});

test('pieces have no more rows with ids than 16 bits number', () => {
  const records = Array.from({ length: 70_000 }, () => lengthField(2, attribute('a', '1')));
  const logs = decode('logs', lengthField(1, lengthField(2, Buffer.concat(records))));
  assert.deepEqual(splitBatch(logs, 1_000_000).map(countItems), [65_535, 4465]);

  const names = Array.from({ length: 70_000 }, (_, i) => lengthField(2, lengthField(1, Buffer.from(`m${i}`))));
  const metrics = decode('metrics', lengthField(1, lengthField(2, Buffer.concat(names))));
  const pieces = splitBatch(metrics, 1_000_000);
  assert.deepEqual(
    pieces.map((piece) => piece.signal === 'metrics' && piece.metrics.rowCount),
    [65_535, 4465],
  );
});

test('pieces tell once what decoding repaired', () => {
  const invalid = Buffer.concat([lengthField(2, lengthField(3, Buffer.from([0xff]))), lengthField(2, Buffer.alloc(0))]);
  const batch = decode('logs', lengthField(1, lengthField(2, invalid)));
  assert.deepEqual(
    splitBatch(batch, 1).map(({ repairedStrings }) => repairedStrings),
    [1, 0],
  );
});

type Kept = 'none' | 'some' | 'all';

function checkFilter(batch: CanonicalBatch, filter: RowFilter): Kept {
  const rows = canonicalRows(batch, { exact: true });
  const expected = rows.filter((row) => row['kind'] !== 'metric' && passes(row, filter));
  const filtered = filterBatch(batch, filter);
  if (Object.keys({ ...filter.resource, ...filter.attributes }).length === 0) {
    assert.equal(filtered, batch);
    return 'all';
  }
  if (expected.length === 0) {
    assert.equal(filtered, null);
    return 'none';
  }
  assert.ok(filtered !== null);
  if (expected.length === rows.length) assert.equal(filtered, batch);
  else assert.notEqual(filtered, batch);
  checkPart(filtered);
  assert.equal(countItems(filtered), expected.length);
  assert.deepEqual(canonicalLines(canonicalRows(filtered, { exact: true })), canonicalLines(expected));
  return filtered === batch ? 'all' : 'some';
}

function checkPieces(batch: CanonicalBatch, itemsMax: number): void {
  const pieces = splitBatch(batch, itemsMax);
  if (countItems(batch) <= itemsMax) assert.deepEqual(pieces, [batch]);
  for (const piece of pieces) {
    checkPart(piece);
    assert.ok(countItems(piece) <= itemsMax);
  }
  const rows = pieces.flatMap((piece) => canonicalRows(piece, { exact: true }));
  assert.deepEqual(canonicalLines(rows), canonicalLines(canonicalRows(batch, { exact: true })));
}

/** A part is a sound batch in which everything belongs to something. */
function checkPart(part: CanonicalBatch): void {
  checkBatch(part);
  const faults = { orphanRows: 0 };
  encodeOtlp(part, faults);
  assert.equal(faults.orphanRows, 0);
}

function passes(row: TelemetryRow, { resource = {}, attributes = {} }: RowFilter): boolean {
  return hasAll(resourceOf(row), resource) && hasAll(attributesOf(row), attributes);
}

function hasAll(pairs: readonly Pair[], wanted: Readonly<Record<string, string>>): boolean {
  return Object.entries(wanted).every(([key, text]) =>
    pairs.some(([name, value]) => name === key && textOf(value) === text),
  );
}

function resourceOf(row: TelemetryRow): Pair[] {
  return (row['resource'] as { attributes: Pair[] }).attributes;
}

function attributesOf(row: TelemetryRow): Pair[] {
  return ((row['point'] ?? row) as { attributes?: Pair[] }).attributes ?? [];
}

/** The text of a value; null for none, and for maps and arrays, whose order rows do not keep. */
function textOf(value: TypedValue): string | null {
  if (value === null) return null;
  if ('s' in value) return value.s;
  if ('i' in value) return value.i;
  if ('b' in value) return String(value.b);
  if ('x' in value) return Buffer.from(value.x, 'hex').toString('base64');
  if (!('d' in value)) return null;
  if (value.d === 'nan') return 'NaN';
  const number = Buffer.from(value.d, 'hex').readDoubleBE();
  return Object.is(number, -0) ? '-0' : String(number);
}

/** Asks for one or two attributes that some row has, or for one that hardly any has. */
function randomFilter(rows: readonly TelemetryRow[], random: Random): RowFilter {
  if (rows.length === 0) return { attributes: { a: 'b' } };
  const row = random.pick(rows);
  const resource = conditions(resourceOf(row), random);
  const attributes = conditions(attributesOf(row), random);
  const choice = random.below(4);
  if (choice === 0) return { resource };
  if (choice === 1) return { attributes };
  return choice === 2 ? { resource, attributes } : { attributes: { ...attributes, 'service.name': 'a' } };
}

function conditions(pairs: readonly Pair[], random: Random): Record<string, string> {
  const wanted: Record<string, string> = {};
  for (let i = random.below(3); i > 0 && pairs.length > 0; i--) {
    const [key, value] = random.pick(pairs);
    const text = textOf(value);
    if (text !== null) wanted[key] = text;
  }
  return wanted;
}

function randomBatch(signal: Signal, seed: number): CanonicalBatch {
  return decode(signal, randomRequest(signal, seed));
}

function decode(signal: Signal, request: Uint8Array): CanonicalBatch {
  return decodeOtlp(signal, request, OTLP_CONTENT_TYPES.PROTOBUF);
}

function attribute(key: string, text: string): Buffer {
  return lengthField(6, keyValue(key, lengthField(1, Buffer.from(text))));
}

/** A KeyValue; `value` is the content of its AnyValue. */
function keyValue(key: string, value: Uint8Array): Buffer {
  return Buffer.concat([lengthField(1, Buffer.from(key)), lengthField(2, value)]);
}

function double(value: number): Buffer {
  const bytes = Buffer.alloc(9, 0x21);
  bytes.writeDoubleLE(value, 1);
  return bytes;
}
