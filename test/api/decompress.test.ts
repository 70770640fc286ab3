import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deflateRawSync, deflateSync, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { type CompressionFormat, decompress } from '../../src/api/decompress.ts';
import { BatchMalformedError, BatchTooLargeError } from '../../src/base/index.ts';
import { compressZstd, initZstd } from '../../src/otap/index.ts';

await initZstd();

const WRITERS: readonly (readonly [string, CompressionFormat, (bytes: Uint8Array) => Buffer])[] = [
  ['gzip', 'gzip', (bytes) => gzipSync(bytes)],
  ['stored gzip', 'gzip', (bytes) => gzipSync(bytes, { level: 0 })],
  ['zlib deflate', 'deflate', (bytes) => deflateSync(bytes)],
  ['stored zlib deflate', 'deflate', (bytes) => deflateSync(bytes, { level: 0 })],
  ['zlib deflate with a small window', 'deflate', (bytes) => deflateSync(bytes, { windowBits: 9 })],
  ['raw deflate', 'deflate', (bytes) => deflateRawSync(bytes)],
  ['stored raw deflate', 'deflate', (bytes) => deflateRawSync(bytes, { level: 0 })],
  ['zstd', 'zstd', (bytes) => compressZstd(bytes)],
];

for (const [name, format, write] of WRITERS) {
  test(`${name} of any bytes gives the bytes, counted as they come, and nothing behind them passes`, async () => {
    const contents = fc.uint8Array({ maxLength: 300 });
    await fc.assert(
      fc.asyncProperty(contents, fc.nat(3000), fc.uint8Array({ minLength: 1 }), async (part, repeats, behind) => {
        const content = Buffer.concat(Array.from({ length: repeats + 1 }, () => part));
        const written = write(content);
        let outputBytes = 0;
        const onOutput = (bytes: number): void => {
          outputBytes += bytes;
        };
        const result = await decompress(written, format, { bytesMax: content.length, onOutput });
        assert.ok(result.equals(content));
        assert.equal(outputBytes, content.length);
        const followed = decompress(Buffer.concat([written, behind]), format, { bytesMax: content.length });
        await assert.rejects(followed, BatchMalformedError);
        const cut = decompress(written.subarray(0, -1), format, { bytesMax: content.length });
        await assert.rejects(cut, BatchMalformedError);
        if (content.length > 0) {
          const bounded = decompress(written, format, { bytesMax: content.length - 1 });
          await assert.rejects(bounded, BatchTooLargeError);
        }
      }),
      { numRuns: 30 },
    );
  });
}

test('random bytes are decompressed or refused as malformed, nothing else', async () => {
  const formats = fc.constantFrom<CompressionFormat>('gzip', 'deflate', 'zstd');
  await fc.assert(
    fc.asyncProperty(formats, fc.uint8Array({ maxLength: 100 }), async (format, bytes) => {
      try {
        await decompress(bytes, format, { bytesMax: 1_000_000 });
      } catch (error) {
        assert.ok(error instanceof BatchMalformedError, String(error));
      }
    }),
    { numRuns: 300 },
  );
});

test('a bomb ends as soon as it passes its bound', async () => {
  const bomb = gzipSync(Buffer.alloc(200_000_000));
  let outputBytes = 0;
  const onOutput = (bytes: number): void => {
    outputBytes += bytes;
  };
  await assert.rejects(decompress(bomb, 'gzip', { bytesMax: 1_000_000, onOutput }), BatchTooLargeError);
  assert.ok(outputBytes <= 1_000_000);
});

test('what the watcher of the output throws ends the work and is thrown on', async () => {
  const refusal = new Error('no room');
  const onOutput = (): void => {
    throw refusal;
  };
  for (const [, format, write] of WRITERS) {
    const working = decompress(write(Buffer.alloc(1_000_000)), format, { bytesMax: 1_000_000, onOutput });
    await assert.rejects(working, (error) => error === refusal);
  }
});
