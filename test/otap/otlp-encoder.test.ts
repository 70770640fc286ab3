/**
 * Batches as OTLP requests. Goal: all that the tables hold comes out. Method: random requests, and what Collectors sent, decoded,
 * encoded and decoded again, and read by protobuf-es, which shares no code with either. Invariant: equal rows, equal messages.
 */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { type DescMessage, fromBinary, toBinary } from '@bufbuild/protobuf';
import { reflect, type ReflectMessage } from '@bufbuild/protobuf/reflect';
import fc from 'fast-check';
import { type Signal, SIGNALS } from '../../src/base/index.ts';
import {
  type CanonicalBatch,
  createStreamDecoder,
  decodeOtlp,
  decompressZstd,
  initZstd,
  OTLP_CONTENT_TYPES,
} from '../../src/otap/index.ts';
import { encodeOtlp } from '../../src/otap/otlp-encoder.ts';
import { checkBatch } from '../helpers/batch-invariants.ts';
import { canonicalRows } from '../helpers/canonical-rows.ts';
import { captureNames, readArrowStreams, readCapture, sharedCapturesMissing } from '../helpers/captures.ts';
import { arbitraryRequest } from '../helpers/otlp-arbitrary.ts';
import { fullRequest } from '../helpers/otlp-full-request.ts';
import { OTLP_REQUEST_SCHEMAS } from '../helpers/otlp-json.ts';
import { randomRequest } from '../helpers/otlp-wire-messages.ts';
import { canonicalLines } from '../helpers/telemetry-rows.ts';

const MESSAGE_BYTES_MAX = 64 * 1024 * 1024;
const RUNS = 150;
const seeds = fc.integer({ min: 0, max: 2 ** 31 - 1 });
/** Their messages are as many as they are alike: one in so many is looked at. */
const LARGE = /^(bench|dict)-/;
const LARGE_STEP = 40;
/** Its messages are what was on the wire. */
const COMPRESSED = 'wire-1';

before(() => initZstd());

for (const signal of SIGNALS) {
  test(`random requests of ${signal} come out of the tables as they went in`, () => {
    let rows = 0;
    fc.assert(
      fc.property(seeds, (seed) => {
        const request = randomRequest(signal, seed, { entityRefs: false });
        rows += checkRequest(signal, request);
      }),
      { numRuns: RUNS },
    );
    assert.ok(rows > RUNS, `${rows} rows`);
  });

  test(`arbitrary requests of ${signal} without ids come out of the tables as they went in`, () => {
    const schema: DescMessage = OTLP_REQUEST_SCHEMAS[signal];
    fc.assert(
      fc.property(arbitraryRequest(signal, { hasIds: false }), (request) => {
        checkRequest(signal, toBinary(schema, request));
      }),
      { numRuns: RUNS },
    );
  });

  test(`a request of ${signal} with every field set comes out of the tables as it went in`, () => {
    const schema: DescMessage = OTLP_REQUEST_SCHEMAS[signal];
    const request = toBinary(schema, fullRequest(signal));
    checkRequest(signal, request);
    assert.equal(encodeOtlp(decode(signal, request)).length, request.length);
  });
}

for (const name of captureNames({ shared: false })) {
  test(`batches of capture ${name} come out as requests with their rows`, () => checkCapture(name));
}

test('batches of the shared captures come out as requests with their rows', {
  skip: sharedCapturesMissing(),
}, async (t) => {
  const own = new Set(captureNames({ shared: false }));
  for (const name of captureNames({ shared: true })) {
    if (!own.has(name)) await t.test(`capture ${name}`, () => checkCapture(name));
  }
});

function checkCapture(name: string): void {
  for (const stream of readArrowStreams(name)) {
    const decoder = createStreamDecoder(stream.arrowSignal);
    for (const [i, message] of stream.messages.entries()) {
      const record = name === COMPRESSED ? decompressZstd(message, MESSAGE_BYTES_MAX) : message;
      const batch = decoder.decode(record);
      if (!LARGE.test(name) || i % LARGE_STEP === 0) checkRows(batch);
    }
  }
  if (LARGE.test(name)) return;
  for (const record of readCapture(name, 'expect')) {
    if (record.t === 'otlp') checkRequest(record.signal!, record.body);
  }
}

/** Compares a request with what comes out of its tables, by rows and message by message; returns the number of rows. */
function checkRequest(signal: Signal, request: Uint8Array): number {
  const batch = decode(signal, request);
  const encoded = checkRows(batch);
  assert.deepEqual(plainRequest(signal, encoded), plainRequest(signal, request));
  return canonicalRows(batch).length;
}

function checkRows(batch: CanonicalBatch): Uint8Array {
  const faults = { orphanRows: 0 };
  const encoded = encodeOtlp(batch, faults);
  assert.equal(faults.orphanRows, 0);
  const again = decode(batch.signal, encoded);
  checkBatch(again);
  const lines = canonicalLines(canonicalRows(batch, { exact: true }));
  assert.deepEqual(canonicalLines(canonicalRows(again, { exact: true })), lines);
  return encoded;
}

function decode(signal: Signal, request: Uint8Array): CanonicalBatch {
  return decodeOtlp(signal, request, OTLP_CONTENT_TYPES.PROTOBUF);
}

/**
 * A request as plain objects, less what the tables cannot tell: scopes and resources without rows, a message of defaults from none
 * (status, buckets, resource, scope, the value of an attribute or body), 32 bits of an enum from 64.
 */
function plainRequest(signal: Signal, request: Uint8Array): unknown {
  const schema: DescMessage = OTLP_REQUEST_SCHEMAS[signal];
  const { resources = [] } = plainMessage(reflect(schema, fromBinary(schema, request, { readUnknownFields: false })));
  return (resources as PlainMessage[])
    .map(({ scopes = [], ...group }) => {
      return { ...group, scopes: (scopes as PlainMessage[]).filter((scope) => 'rows' in scope) };
    })
    .filter(({ scopes }) => scopes.length > 0);
}

type PlainMessage = Record<string, unknown>;

/** Lists that each signal names its own way. */
const GROUPS: readonly (readonly [RegExp, string])[] = [
  [/^resource_(logs|spans|metrics)$/, 'resources'],
  [/^scope_(logs|spans|metrics)$/, 'scopes'],
  [/^(log_records|spans|metrics)$/, 'rows'],
];
const DEFAULTS_ARE_NONE: ReadonlySet<string> = new Set([
  'status',
  'positive',
  'negative',
  'resource',
  'scope',
  'body',
  'value',
]);

function plainMessage(message: ReflectMessage): PlainMessage {
  const plain: PlainMessage = {};
  for (const field of message.fields) {
    if (!message.isSet(field)) continue;
    const value: unknown = message.get(field);
    const name = GROUPS.find(([pattern]) => pattern.test(field.name))?.[1] ?? field.name;
    if (field.fieldKind === 'message') {
      const item = plainMessage(value as ReflectMessage);
      if (DEFAULTS_ARE_NONE.has(field.name) && Object.keys(item).length === 0) continue;
      plain[name] = item;
    } else if (field.fieldKind === 'list') {
      plain[name] = [...(value as Iterable<unknown>)].map((item) =>
        field.message === undefined ? item : plainMessage(item as ReflectMessage),
      );
    } else {
      plain[name] = value instanceof Uint8Array ? Buffer.from(value) : value;
    }
  }
  return plain;
}
