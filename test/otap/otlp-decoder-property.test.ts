/**
 * Random requests in every form that protobuf allows. Goal: the decoder reads them as protobuf-es does. Method: see
 * helpers/otlp-wire-messages.ts. Invariant: equal rows, sound batches, and an inspection that counts the rows that come out.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Signal, SIGNALS } from '../../src/base/index.ts';
import { decodeOtlpProtobuf } from '../../src/otap/otlp-decoder.ts';
import { inspectOtlpProtobuf } from '../../src/otap/otlp-inspector.ts';
import { checkBatch } from '../helpers/batch-invariants.ts';
import { canonicalRows } from '../helpers/canonical-rows.ts';
import { expectedRows } from '../helpers/expected-rows.ts';
import { randomRequest } from '../helpers/otlp-wire-messages.ts';
import { canonicalLines } from '../helpers/telemetry-rows.ts';

const RUNS = 250;
const seeds = fc.integer({ min: 0, max: 2 ** 31 - 1 });

for (const signal of SIGNALS) {
  test(`random requests of ${signal} decode to what protobuf-es reads`, () => {
    let rows = 0;
    fc.assert(
      fc.property(seeds, (seed) => {
        const request = randomRequest(signal, seed);
        rows += compare(signal, request, request);
      }),
      { numRuns: RUNS },
    );
    assert.ok(rows > RUNS, `${rows} rows`);
  });

  test(`invalid UTF-8 in random requests of ${signal} is repaired and counted`, () => {
    let repaired = 0;
    fc.assert(
      fc.property(seeds, (seed) => {
        const request = randomRequest(signal, seed, { invalidText: 0.1 });
        const mended = randomRequest(signal, seed, { invalidText: 0.1, repair: true });
        compare(signal, request, mended);
        repaired += decodeOtlpProtobuf(signal, request).repairedStrings;
        assert.equal(decodeOtlpProtobuf(signal, mended).repairedStrings, 0);
      }),
      { numRuns: RUNS },
    );
    assert.ok(repaired > RUNS, `${repaired} strings`);
  });
}

/** Compares the decoded rows of one request with what protobuf-es reads from another; returns their number. */
function compare(signal: Signal, request: Uint8Array, plain: Uint8Array): number {
  const before = Buffer.from(request);
  const batch = decodeOtlpProtobuf(signal, request);
  assert.deepEqual(Buffer.from(request), before);
  checkBatch(batch);
  const rows = canonicalRows(batch, { exact: true });
  assert.deepEqual(canonicalLines(rows), canonicalLines(expectedRows(signal, plain, { exact: true })));
  const inspected = inspectOtlpProtobuf(signal, request);
  assert.equal(inspected.rejectedRows, 0);
  assert.equal(inspected.rows, rows.filter(({ kind }) => kind !== 'metric').length);
  return rows.length;
}
