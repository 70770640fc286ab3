/** The OTLP requests that went into the captures' Collectors, decoded, against protobuf-es: every cell of every row. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeOtlpProtobuf } from '../../src/otap/otlp-decoder.ts';
import { inspectOtlpProtobuf } from '../../src/otap/otlp-inspector.ts';
import { checkBatch } from '../helpers/batch-invariants.ts';
import { canonicalRows } from '../helpers/canonical-rows.ts';
import { captureNames, readCapture, sharedCapturesMissing } from '../helpers/captures.ts';
import { expectedRows } from '../helpers/expected-rows.ts';
import { canonicalLines } from '../helpers/telemetry-rows.ts';

/** Their expectations are summaries, or too many rows for a quick test. */
const LARGE = /^(bench|dict)-/;

for (const name of captureNames({ shared: false })) {
  test(`requests of capture ${name} decode to what protobuf-es reads`, () => checkCapture(name));
}

test('requests of the shared captures decode to what protobuf-es reads', {
  skip: sharedCapturesMissing(),
}, async (t) => {
  const own = new Set(captureNames({ shared: false }));
  for (const name of captureNames({ shared: true })) {
    if (own.has(name) || LARGE.test(name)) continue;
    await t.test(`requests of capture ${name} decode to what protobuf-es reads`, () => checkCapture(name));
  }
});

function checkCapture(name: string): void {
  let requests = 0;
  for (const { t, signal, body } of readCapture(name, 'expect')) {
    if (t !== 'otlp') continue;
    requests++;
    const batch = decodeOtlpProtobuf(signal!, body);
    checkBatch(batch);
    const actual = canonicalRows(batch, { exact: true });
    assert.deepEqual(canonicalLines(actual), canonicalLines(expectedRows(signal!, body, { exact: true })), name);
    assert.equal(batch.repairedStrings, 0);
    const inspected = inspectOtlpProtobuf(signal!, body);
    assert.equal(inspected.rows, actual.filter(({ kind }) => kind !== 'metric').length);
    assert.equal(inspected.rejectedRows, 0);
  }
  assert.ok(requests > 0, `${name} has no requests`);
}
