/**
 * Goal: a sender cannot write entries of the log.
 * Method: a record that holds a whole, good frame far ahead of the log's end is cut off as kill -9 in the middle of a write leaves it, or
 * loses its head as power loss may leave it.
 * Invariant: the frame that was written last is torn as a whole; nothing in it is taken for a frame.
 */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { openLog } from '../../src/log/index.ts';
import { crcOf, encodeFrame, FRAME_PREFIX } from '../../src/log/frame.ts';
import { END_OF_STREAM } from '../../src/log/layout.ts';
import { readAll, scratch } from './log-helpers.ts';

const FORGED_OFFSET = 1n << 40n;

test('frame within the records of a frame whose head is lost is not an entry', async (t) => {
  const { name, bytes, directory } = await segmentWithForgedFrame(t);
  const head = bytes.indexOf(FRAME_PREFIX, bytes.indexOf('genuine'));
  const torn = join(directory, 'torn');
  mkdirSync(torn);
  // As power loss leaves a frame of which the first block was not written.
  writeFileSync(join(torn, name), bytes.fill(0, head, head + 800));
  const recovered = await openLog({ directory: torn });
  assert.deepEqual(kept(recovered, torn), [[0n, 'genuine']]);
  assert.equal(recovered.status().nextOffset, 1n);
  assert.equal(recovered.status().quarantinedRanges, 0);
  await recovered.close();
});

test('frame within the records of a torn frame is not an entry', async (t) => {
  const { name, bytes, directory } = await segmentWithForgedFrame(t);
  const torn = join(directory, 'torn');
  mkdirSync(torn);
  writeFileSync(join(torn, name), bytes.subarray(0, bytes.length - 1000));
  const recovered = await openLog({ directory: torn });
  assert.deepEqual(kept(recovered, torn), [[0n, 'genuine']]);
  assert.equal(recovered.status().nextOffset, 1n);
  assert.equal(recovered.status().quarantinedRanges, 0);
  await recovered.close();
});

test('torn frame that ends like a segment with its seal is torn as a whole', async (t) => {
  const directory = scratch(t);
  const source = join(directory, 'source');
  const log = await openLog({ directory: source });
  await log.appendOtlp(1, { batchId: 0n, record: [Buffer.from('genuine')] });
  // As records do that end with an Arrow stream, and hold another.
  const part = Buffer.concat([Buffer.alloc(4096, 7), END_OF_STREAM]);
  await log.appendOtlp(1, { batchId: 0n, record: [part, part] });
  await log.close();
  const [name] = readdirSync(source).filter((file) => file.endsWith('.arrows'));
  const bytes = readFileSync(join(source, name!)).subarray(0, -END_OF_STREAM.length);
  const inner = bytes.indexOf(END_OF_STREAM, bytes.indexOf(Buffer.alloc(64, 7)));
  const cutOff = bytes.subarray(0, inner + END_OF_STREAM.length);
  const holed = Buffer.from(bytes).fill(0, inner - 1000, inner - 900);
  for (const [kind, left] of [cutOff, holed].entries()) {
    assert.ok(left.subarray(-END_OF_STREAM.length).equals(END_OF_STREAM));
    const torn = join(directory, `torn-${kind}`);
    mkdirSync(torn);
    writeFileSync(join(torn, name!), left);
    const recovered = await openLog({ directory: torn });
    assert.deepEqual(kept(recovered, torn), [[0n, 'genuine']]);
    assert.deepEqual([recovered.status().nextOffset, recovered.status().quarantinedRanges], [1n, 0]);
    await recovered.close();
  }
});

/** An unsealed segment: a genuine entry, then one with a whole frame in its record. */
async function segmentWithForgedFrame(t: TestContext): Promise<{ name: string; bytes: Buffer; directory: string }> {
  const directory = scratch(t);
  const source = join(directory, 'source');
  const log = await openLog({ directory: source });
  await log.appendOtlp(1, { batchId: 0n, record: [Buffer.from('genuine')] });
  const record = Buffer.concat([Buffer.alloc(4096, 7), ...forgedFrame().parts, Buffer.alloc(4096, 7)]);
  await log.appendOtlp(1, { batchId: 0n, record: [record] });
  await log.close();
  const [name] = readdirSync(source).filter((file) => file.endsWith('.arrows'));
  const bytes = readFileSync(join(source, name!));
  return { name: name!, bytes: bytes.subarray(0, bytes.length - END_OF_STREAM.length), directory };
}

function kept(log: Parameters<typeof readAll>[0], directory: string): [bigint, string][] {
  return readAll(log, directory).map(({ offset, record }) => [offset, Buffer.from(record).toString()]);
}

function forgedFrame() {
  const record = Buffer.from('forged');
  const facts = { receivedAtUnixNano: 1n, streamId: 0n, streamSeq: 0, batchId: 0n, signal: 1, kind: 3, flags: 0 };
  const row = {
    ...facts,
    headers: new Uint8Array(),
    record: [record],
    recordBytes: record.length,
    recordCrc: crcOf([record]),
  };
  return encodeFrame({ position: 0, baseOffset: FORGED_OFFSET, previousCrc: 0 }, [row]);
}
