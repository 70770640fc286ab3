/** What a Collector sent, decoded, encoded anew and decoded again: every cell of every row, and the size of it all. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { createStreamDecoder, createStreamInspector, initZstd } from '../../src/otap/index.ts';
import { createStreamEncoder } from '../../src/otap/stream-encoder.ts';
import { decompressZstd } from '../../src/otap/zstd.ts';
import { canonicalRows } from '../helpers/canonical-rows.ts';
import { captureNames, readArrowStreams, sharedCapturesMissing } from '../helpers/captures.ts';
import { canonicalLines } from '../helpers/telemetry-rows.ts';

const MESSAGE_BYTES_MAX = 64 * 1024 * 1024;
/** Of streams of these there is more than a quick test can compare. */
const LARGE = /^(bench|dict)-/;
const LARGE_BATCHES_MAX = 8;
/** Its messages are what was on the wire. */
const COMPRESSED = 'wire-1';

before(() => initZstd());

for (const name of captureNames({ shared: false })) {
  if (hasArrow(name)) test(`capture ${name} encoded anew decodes to the same rows`, () => checkCapture(name));
}

test('the shared captures encoded anew decode to the same rows', { skip: sharedCapturesMissing() }, async (t) => {
  const own = new Set(captureNames({ shared: false }));
  for (const name of captureNames({ shared: true })) {
    if (own.has(name) || !hasArrow(name)) continue;
    await t.test(`capture ${name} encoded anew decodes to the same rows`, () => checkCapture(name));
  }
});

function hasArrow(name: string): boolean {
  return readArrowStreams(name).some((stream) => stream.messages.length > 0);
}

function checkCapture(name: string): void {
  for (const { arrowSignal, messages } of readArrowStreams(name)) {
    const decoder = createStreamDecoder(arrowSignal);
    const encoder = createStreamEncoder(arrowSignal);
    const inspector = createStreamInspector(arrowSignal);
    const secondDecoder = createStreamDecoder(arrowSignal);
    const count = LARGE.test(name) ? LARGE_BATCHES_MAX : messages.length;
    for (const [index, message] of messages.slice(0, count).entries()) {
      const batch = decoder.decode(name === COMPRESSED ? decompressZstd(message, MESSAGE_BYTES_MAX) : message);
      const encoded = encoder.encode(batch, BigInt(index));
      assert.equal(inspector.inspect(encoded).batchId, BigInt(index));
      const actual = canonicalLines(canonicalRows(secondDecoder.decode(encoded)));
      const expected = canonicalLines(canonicalRows(batch));
      const differing = expected.findIndex((line, row) => line !== actual[row]);
      if (differing >= 0) assert.equal(actual[differing], expected[differing], `${name} ${arrowSignal} batch ${index}`);
      assert.equal(actual.length, expected.length, `${name} ${arrowSignal} batch ${index}`);
    }
  }
}
