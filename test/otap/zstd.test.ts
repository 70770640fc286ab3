import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import fc from 'fast-check';
import { BatchMalformedError, BatchTooLargeError, LIMITS } from '../../src/base/index.ts';
import { scanBatchEnvelope } from '../../src/otap/batch-envelope.ts';
import { compressZstd, decompressZstd, initZstd } from '../../src/otap/zstd.ts';
import { readArrowStreams, sharedCapturesMissing } from '../helpers/captures.ts';

const MIB = 1024 * 1024;
const TEXT = '{"severity":"info","body":"connection accepted"}'.repeat(50);
const MAGIC = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);

before(initZstd);

test('initZstd may be called again', async () => {
  await Promise.all([initZstd(), initZstd()]);
});

test('decompressZstd gives back what compressZstd took', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 5000 }), fc.integer({ min: 1, max: 19 }), (bytes, level) => {
      assert.deepEqual(decompressZstd(compressZstd(bytes, level), bytes.length), Buffer.from(bytes));
    }),
    { numRuns: 60 },
  );
});

test('decompressZstd takes frames of plain and repeated blocks with a hidden size and a large window', () => {
  const raw = frame({
    content: [rawBlock(Buffer.from('hello '), false), rleBlock(0x61, 100_000, true)],
    windowLog: 23,
  });
  const expected = Buffer.concat([Buffer.from('hello '), Buffer.alloc(100_000, 0x61)]);
  assert.deepEqual(decompressZstd(raw, MIB), expected);
  assert.deepEqual(decompressZstd(raw, expected.length), expected);
});

test('decompressZstd grows its output when the content size is hidden', () => {
  const blocks = Array.from({ length: 40 }, (_, i) => rleBlock(i, 128 * 1024, i === 39));
  const content = decompressZstd(frame({ content: blocks, windowLog: 23 }), 40 * 128 * 1024);
  assert.equal(content.length, 40 * 128 * 1024);
  for (let i = 0; i < 40; i++) assert.equal(content[i * 128 * 1024 + 5], i);
  const compressible = hideContentSize(compressZstd(Buffer.alloc(9 * MIB, 'telemetry')));
  assert.deepEqual(decompressZstd(compressible, 9 * MIB), Buffer.alloc(9 * MIB, 'telemetry'));
  assert.throws(() => decompressZstd(compressible, 9 * MIB - 1), BatchTooLargeError);
});

test('decompressZstd takes concatenated and skippable frames', () => {
  const a = Buffer.from('first');
  const b = Buffer.alloc(70_000, 'second');
  const skippable = Buffer.concat([Buffer.from([0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0]), Buffer.from('xyz')]);
  const frames = Buffer.concat([skippable, compressZstd(a), skippable, compressZstd(b), compressZstd(Buffer.alloc(0))]);
  assert.deepEqual(decompressZstd(frames, a.length + b.length), Buffer.concat([a, b]));
  assert.throws(() => decompressZstd(frames, a.length + b.length - 1), BatchTooLargeError);
  assert.equal(decompressZstd(skippable, 10).length, 0);
  assert.equal(decompressZstd(Buffer.alloc(0), 10).length, 0);
  const hidden = Buffer.concat([
    frame({ content: [rleBlock(1, 600, true)] }),
    frame({ content: [rleBlock(1, 600, true)] }),
  ]);
  assert.equal(decompressZstd(hidden, 1200).length, 1200);
  assert.throws(() => decompressZstd(hidden, 1199), BatchTooLargeError);
});

test('decompressZstd results own their memory', () => {
  const first = decompressZstd(compressZstd(Buffer.alloc(1000, 'a')), 1000);
  decompressZstd(compressZstd(Buffer.alloc(1000, 'b')), 1000);
  assert.deepEqual(first, Buffer.alloc(1000, 'a'));
});

test('decompressZstd refuses a claimed size above the limit before it allocates', () => {
  const claims = frame({ content: [rawBlock(Buffer.from('x'), true)], contentBytes: 2n ** 40n });
  assert.throws(() => decompressZstd(claims, 64 * MIB), BatchTooLargeError);
  const single = compressZstd(Buffer.alloc(100_000));
  assert.throws(
    () => decompressZstd(single, 99_999),
    (error: unknown) => {
      assert.ok(error instanceof BatchTooLargeError && error instanceof BatchMalformedError);
      assert.deepEqual(error.facts, { bytes: 100_000, max: 99_999 });
      return true;
    },
  );
});

test('decompressZstd refuses windows above the limit', () => {
  const log = Math.log2(LIMITS.zstdWindowBytesMax);
  assert.equal(decompressZstd(frame({ content: [rawBlock(Buffer.from('x'), true)], windowLog: log }), 10).length, 1);
  const wide = frame({ content: [rawBlock(Buffer.from('x'), true)], windowLog: log + 1 });
  assert.throws(() => decompressZstd(wide, 10), /window bytes are 67108864/);
});

test('decompressZstd refuses bombs of repeated and of compressed blocks', () => {
  const repeated = Array.from({ length: 8192 }, (_, i) => rleBlock(0, 128 * 1024, i === 8191));
  assert.throws(() => decompressZstd(frame({ content: repeated, windowLog: 20 }), 64 * MIB), BatchTooLargeError);
  const compressed = hideContentSize(compressZstd(Buffer.alloc(32 * MIB)));
  assert.ok(compressed.length < 8192, 'the bomb is small');
  assert.throws(() => decompressZstd(compressed, MIB), BatchTooLargeError);
  const many = Buffer.concat(Array.from({ length: 500 }, () => compressZstd(Buffer.alloc(MIB))));
  assert.throws(() => decompressZstd(many, 64 * MIB), BatchTooLargeError);
});

test('decompressZstd refuses input above the message limit', () => {
  assert.throws(() => decompressZstd(Buffer.alloc(LIMITS.messageBytesMax + 1), MIB), BatchTooLargeError);
});

test('decompressZstd refuses every truncation and every trailing byte', () => {
  for (const whole of [
    compressZstd(Buffer.from('a telemetry message, a telemetry message')),
    frame({ content: [rleBlock(7, 9, true)] }),
  ]) {
    for (let length = 1; length < whole.length; length++)
      assert.throws(() => decompressZstd(whole.subarray(0, length), MIB), isCorrupt);
    assert.throws(() => decompressZstd(Buffer.concat([whole, Buffer.from([0])]), MIB), isCorrupt);
  }
});

test('decompressZstd refuses garbage, dictionaries, reserved bits and false sizes', () => {
  assert.throws(() => decompressZstd(Buffer.from('not zstd at all'), MIB), isCorrupt);
  const plain = frame({ content: [rawBlock(Buffer.from('abc'), true)], windowLog: 10 });
  const withDictionary = Buffer.concat([MAGIC, Buffer.from([plain[4]! | 1, plain[5]!, 9]), plain.subarray(6)]);
  assert.throws(() => decompressZstd(withDictionary, MIB), /needs a dictionary/);
  const reserved = Buffer.from(plain);
  reserved[4]! |= 0x08;
  assert.throws(() => decompressZstd(reserved, MIB), /reserved bit/);
  const reservedBlock = Buffer.from(plain);
  reservedBlock[6]! |= 0x06;
  assert.throws(() => decompressZstd(reservedBlock, MIB), /reserved type/);
  assert.throws(
    () => decompressZstd(frame({ content: [rawBlock(Buffer.from('abc'), true)], contentBytes: 300n }), MIB),
    isCorrupt,
  );
  assert.throws(() => decompressZstd(frame({ content: [rleBlock(1, 4096, true)], windowLog: 10 }), MIB), isCorrupt);
});

test('decompressZstd survives mutations of a frame within its limit', () => {
  const whole = compressZstd(Buffer.from(TEXT));
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }),
      (changes) => {
        const mutant = Buffer.from(whole);
        for (const [position, value] of changes) mutant[position] = value;
        try {
          assert.ok(decompressZstd(mutant, 10_000).length <= 10_000);
        } catch (error) {
          assert.ok(error instanceof BatchMalformedError, String(error));
        }
      },
    ),
    { numRuns: 1000, seed: 8878 },
  );
  assert.equal(decompressZstd(whole, 10_000).length, TEXT.length);
});

test('decompressZstd reads the frames that a Collector put on the wire', { skip: sharedCapturesMissing() }, () => {
  let messages = 0;
  for (const stream of readArrowStreams('wire-1')) {
    for (const message of stream.messages) {
      assert.ok(scanBatchEnvelope(decompressZstd(message, 16 * MIB)).payloads.length > 0);
      messages++;
    }
  }
  assert.equal(messages, 24);
});

function isCorrupt(error: unknown): boolean {
  return error instanceof BatchMalformedError && !(error instanceof BatchTooLargeError);
}

function frame(options: { content: Buffer[]; windowLog?: number; contentBytes?: bigint }): Buffer {
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(options.contentBytes ?? 0n);
  const hasSize = options.contentBytes !== undefined;
  return Buffer.concat([
    MAGIC,
    Buffer.from([hasSize ? 0xc0 : 0x00, ((options.windowLog ?? 17) - 10) << 3]),
    hasSize ? size : Buffer.alloc(0),
    ...options.content,
  ]);
}

function blockHeader(size: number, type: number, isLast: boolean): Buffer {
  const header = Buffer.alloc(3);
  header.writeUIntLE((size << 3) | (type << 1) | (isLast ? 1 : 0), 0, 3);
  return header;
}

function rawBlock(content: Buffer, isLast: boolean): Buffer {
  return Buffer.concat([blockHeader(content.length, 0, isLast), content]);
}

function rleBlock(byte: number, size: number, isLast: boolean): Buffer {
  return Buffer.concat([blockHeader(size, 1, isLast), Buffer.from([byte])]);
}

/** The same blocks under a header without a content size, as an encoder that streams writes it. */
function hideContentSize(whole: Buffer): Buffer {
  const descriptor = whole[4]!;
  const isSingleSegment = (descriptor & 0x20) !== 0;
  const sizeLength = [isSingleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6]!;
  const blocks = whole.subarray(5 + (isSingleSegment ? 0 : 1) + sizeLength);
  return Buffer.concat([MAGIC, Buffer.from([0x00, 15 << 3]), blocks]);
}
