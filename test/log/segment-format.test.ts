import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { crc32 } from 'node:zlib';
import { RecordBatchReader } from 'apache-arrow';
import { SCHEMA_TEMPLATE, SEGMENT_METADATA_KEYS } from '../../src/log/arrow-messages.ts';
import { encodeFrame, frameEntries, parseFrame } from '../../src/log/frame.ts';
import { listSegments, readEntries } from '../../src/log/index.ts';
import { decodeSegmentHeader, encodeSegmentHeader, SEGMENT_HEADER_BYTES } from '../../src/log/segment-header.ts';
import { scratch } from './log-helpers.ts';

const PAGE = readFileSync(new URL('../../docs/format/segment.md', import.meta.url), 'utf8');
const DUMP = /```hex\n([^`]+)```/.exec(PAGE)![1]!;
const BYTES = Buffer.from(DUMP.replaceAll(/^[0-9a-f]{4} {2}/gm, '').replaceAll(/\s/g, ''), 'hex');

test('worked example of docs/format/segment.md is what is written', () => {
  const header = decodeSegmentHeader(BYTES);
  assert.ok(typeof header !== 'string');
  assert.equal(header.baseOffset, 41n);
  assert.deepEqual(Buffer.from(encodeSegmentHeader(header)), BYTES.subarray(0, SEGMENT_HEADER_BYTES));
  const frame = parseFrame((position, bytes) => BYTES.subarray(position, position + bytes), SEGMENT_HEADER_BYTES, true);
  assert.ok(typeof frame !== 'string');
  const rows = frameEntries(frame, 41n).map((entry) => ({
    ...entry,
    headers:
      entry.headers.size === 0 ? new Uint8Array() : Buffer.from(JSON.stringify(Object.fromEntries(entry.headers))),
    record: [entry.record],
    recordBytes: entry.record.length,
    recordCrc: crc32(entry.record),
  }));
  const place = { position: SEGMENT_HEADER_BYTES, baseOffset: frame.baseOffset, previousCrc: header.previousCrc };
  const written = Buffer.concat(encodeFrame(place, rows).parts);
  assert.deepEqual(written, BYTES.subarray(SEGMENT_HEADER_BYTES, BYTES.length - 8));
});

test('worked example of docs/format/segment.md reads as a log and as an Arrow stream', (t) => {
  const directory = join(scratch(t), 'log');
  mkdirSync(directory);
  writeFileSync(join(directory, '00000000000000000041.arrows'), BYTES);
  assert.equal(listSegments(directory)[0]!.sealed, true);
  const entries = [...readEntries(directory, { from: 42n })];
  assert.deepEqual(
    entries.map(({ offset, record, headers }) => [offset, Buffer.from(record).toString(), [...headers]]),
    [[42n, 'hello', [['a', 'b']]]],
  );
  const rows = [...RecordBatchReader.from(BYTES)].flatMap((batch) => batch.toArray());
  assert.deepEqual(
    rows.map((row) => row.toJSON()['offset']),
    [41n, 42n],
  );
});

test('positions of header values are those of docs/format/segment.md', () => {
  for (const [name, key] of Object.entries(SEGMENT_METADATA_KEYS)) {
    const { position } = SCHEMA_TEMPLATE.values[name as keyof typeof SEGMENT_METADATA_KEYS];
    assert.ok(PAGE.includes(`| \`${key}\` | ${position} |`), key);
  }
});
