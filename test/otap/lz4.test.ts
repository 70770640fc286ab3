import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compress } from 'lz4js';
import { BatchMalformedError } from '../../src/base/index.ts';
import { decompressLz4 } from '../../src/otap/lz4.ts';
import { mutate, seededRandom } from '../helpers/random.ts';

test('frames of another encoder decompress', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(3), { maxLength: 3000 }), (values) => {
      const bytes = Uint8Array.from(values);
      assert.deepEqual(decompressLz4(compress(bytes), bytes.length), bytes);
    }),
    { numRuns: 200 },
  );
});

test('overlapping matches and blocks beyond 64 KiB decompress', () => {
  const bytes = new Uint8Array(300_000).map((_, i) => (i % 1000 < 900 ? 7 : i & 255));
  assert.deepEqual(decompressLz4(compress(bytes), bytes.length), bytes);
});

test('a frame that holds more or less than declared is refused', () => {
  const bytes = new Uint8Array(1000).map((_, i) => i % 50);
  const frame = compress(bytes);
  for (const length of [0, 999, 1001, 100_000]) assert.throws(() => decompressLz4(frame, length), BatchMalformedError);
});

test('damaged frames are refused or give as many bytes as declared', () => {
  const random = seededRandom(3);
  const bytes = new Uint8Array(2000).map((_, i) => (i * i) % 97);
  const frame = compress(bytes);
  for (let run = 0; run < 3000; run++) {
    try {
      assert.equal(decompressLz4(mutate(frame, random), bytes.length).length, bytes.length);
    } catch (error) {
      assert.ok(error instanceof BatchMalformedError, String(error));
    }
  }
});
