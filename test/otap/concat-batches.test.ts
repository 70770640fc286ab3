/**
 * Several batches as one. Goal: the rows of each batch, in order, each with what belongs to it and nothing else. Method: random requests
 * and captures, whole and in pieces, of one stream and of several. Invariant: rows and orphans are those of the batches together, and the
 * OTAP stream and the OTLP request of the whole hold them too.
 */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import fc from 'fast-check';
import { BatchTooLargeError, type Signal, SIGNALS } from '../../src/base/index.ts';
import { concatBatches, createStreamEncoder, encodeOtlp, splitBatch } from '../../src/otap/encoders.ts';
import {
  type CanonicalBatch,
  createStreamDecoder,
  decodeOtlp,
  decompressZstd,
  initZstd,
  OTLP_CONTENT_TYPES,
} from '../../src/otap/index.ts';
import { checkBatch } from '../helpers/batch-invariants.ts';
import { canonicalRows } from '../helpers/canonical-rows.ts';
import { captureNames, readArrowStreams } from '../helpers/captures.ts';
import { orphanAttribute } from '../helpers/orphan-attribute.ts';
import { randomRequest } from '../helpers/otlp-wire-messages.ts';
import { canonicalLines } from '../helpers/telemetry-rows.ts';

const MESSAGE_BYTES_MAX = 64 * 1024 * 1024;
/** Its messages are what was on the wire. */
const COMPRESSED = 'wire-1';
const seeds = fc.array(fc.integer({ min: 0, max: 2 ** 31 - 1 }), { minLength: 1, maxLength: 6 });

before(() => initZstd());

for (const signal of SIGNALS) {
  test(`random batches of ${signal} have all their rows as one`, () => {
    fc.assert(
      fc.property(seeds, (given) => {
        checkWhole(given.map((seed) => decode(signal, randomRequest(signal, seed))));
      }),
      { numRuns: 100 },
    );
  });
}

for (const name of captureNames({ shared: false })) {
  const streams = readArrowStreams(name).filter(({ messages }) => messages.length > 0);
  if (streams.length === 0) continue;
  test(`batches of capture ${name} have all their rows as one`, () => {
    const bySignal = new Map<Signal, CanonicalBatch[]>();
    for (const stream of streams) {
      const decoder = createStreamDecoder(stream.arrowSignal);
      const batches = stream.messages
        .slice(0, 20)
        .map((message) => decoder.decode(name === COMPRESSED ? decompressZstd(message, MESSAGE_BYTES_MAX) : message));
      checkWhole(batches);
      bySignal.set(stream.arrowSignal, [...(bySignal.get(stream.arrowSignal) ?? []), ...batches]);
    }
    // Of several streams: dictionaries that have nothing to do with each other.
    for (const batches of bySignal.values()) checkWhole(batches.flatMap((batch) => splitBatch(batch, 50)).slice(0, 40));
  });
}

test('a row whose parent is missing gets none from the batches behind it', () => {
  const first = decode('logs', randomRequest('logs', 1)) as CanonicalBatch & { signal: 'logs' };
  const ids = first.logs.id?.values ?? [];
  const orphaned: CanonicalBatch = {
    ...first,
    // The one that the next row would get.
    logAttrs: orphanAttribute(Math.max(-1, ...ids) + 1),
  };
  checkWhole([orphaned, decode('logs', randomRequest('logs', 2)), orphaned]);
  const faults = { orphanRows: 0 };
  encodeOtlp(concatBatches([orphaned, decode('logs', randomRequest('logs', 2)), orphaned]), faults);
  assert.equal(faults.orphanRows, 2);
});

test('batches whose ids 32 bits would not tell apart are none, and go as one up to there', () => {
  const batch = tracesWithEvents();
  const largest = 2 ** 32 - 1 - batch.spanEvents.id.values.reduce((max, id) => Math.max(max, id), 0);
  const shift = (ids: Uint32Array, by: number) => ids.map((id) => id + by);
  const withEventsFrom = (by: number): CanonicalBatch => ({
    ...batch,
    spanEvents: { ...batch.spanEvents, id: { ...batch.spanEvents.id, values: shift(batch.spanEvents.id.values, by) } },
    spanEventAttrs: { ...batch.spanEventAttrs, parentId: shift(batch.spanEventAttrs.parentId, by) },
  });
  assert.throws(() => concatBatches([withEventsFrom(largest), batch]), BatchTooLargeError);
  checkWhole([batch, withEventsFrom(1_000_000)]);
  checkWhole([withEventsFrom(1_000_000), batch]);
});

test('one batch as one is the batch itself, and batches of two signals are none', () => {
  const batch = decode('logs', randomRequest('logs', 1));
  assert.equal(concatBatches([batch]), batch);
  assert.throws(
    () => concatBatches([batch, decode('traces', randomRequest('traces', 1))]),
    /batches of several signals/,
  );
});

function checkWhole(batches: readonly CanonicalBatch[]): void {
  const whole = concatBatches(batches);
  checkBatch(whole);
  const rows = batches.flatMap((batch) => canonicalRows(batch, { exact: true }));
  assert.deepEqual(canonicalRows(whole, { exact: true }), rows);
  assert.equal(orphans([whole]), orphans(batches));
  const { signal } = whole;
  const overOtap = createStreamDecoder(signal).decode(
    createStreamEncoder(signal, { hasMetricAttrs: true }).encode(whole, 0n),
  );
  assert.deepEqual(
    canonicalLines(canonicalRows(overOtap)),
    canonicalLines(batches.flatMap((batch) => canonicalRows(batch))),
  );
  const overOtlp = decode(signal, encodeOtlp(whole));
  const alone = batches.map((batch) => decode(signal, encodeOtlp(batch)));
  assert.deepEqual(
    canonicalLines(canonicalRows(overOtlp)),
    canonicalLines(alone.flatMap((batch) => canonicalRows(batch))),
  );
}

/** A batch with attributes of events, whose ids are numbers of 32 bits. */
function tracesWithEvents() {
  for (let seed = 1; ; seed++) {
    const batch = decode('traces', randomRequest('traces', seed));
    if (batch.signal !== 'traces') continue;
    const { spanEvents, spanEventAttrs } = batch;
    const id = spanEvents?.id;
    if (!spanEvents || !spanEventAttrs || !id || id.validity !== null || spanEventAttrs.parentValidity !== null)
      continue;
    return { ...batch, spanEventAttrs, spanEvents: { ...spanEvents, id } };
  }
}

function orphans(batches: readonly CanonicalBatch[]): number {
  const faults = { orphanRows: 0 };
  for (const batch of batches) encodeOtlp(batch, faults);
  return faults.orphanRows;
}

function decode(signal: Signal, request: Uint8Array): CanonicalBatch {
  return decodeOtlp(signal, request, OTLP_CONTENT_TYPES.PROTOBUF);
}
