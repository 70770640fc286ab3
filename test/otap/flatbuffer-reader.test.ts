import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BatchMalformedError } from '../../src/base/index.ts';
import {
  type Flatbuffer,
  readBool,
  readInt16,
  readInt32,
  readInt64,
  readLength,
  readString,
  readTable,
  readUint8,
  readVector,
  rootTable,
  tableInVector,
} from '../../src/otap/flatbuffer-reader.ts';

/**
 * A table by hand, 40 bytes into the buffer because positions are absolute. Its fields: i64 -2 (slot 4), absent (6), string "abc" (8),
 * vector of one table that holds i32 7 in slot 4 (10), bool (12), i16 -3 (14), u8 200 (16).
 */
const OFFSET = 40;
const bytes = Buffer.alloc(OFFSET + 96);
{
  const at = (position: number): number => OFFSET + position;
  bytes.writeUInt32LE(24, at(0));
  // The vtable: its length, the table's, then one offset a field.
  [18, 24, 4, 0, 12, 16, 20, 22, 21].forEach((value, i) => bytes.writeUInt16LE(value, at(4 + i * 2)));
  bytes.writeInt32LE(20, at(24));
  bytes.writeBigInt64LE(-2n, at(28));
  bytes.writeUInt32LE(16, at(36));
  bytes.writeUInt32LE(20, at(40));
  bytes[at(44)] = 1;
  bytes[at(45)] = 200;
  bytes.writeInt16LE(-3, at(46));
  bytes.writeUInt32LE(3, at(52));
  bytes.write('abc', at(56));
  bytes.writeUInt32LE(1, at(60));
  bytes.writeUInt32LE(16, at(64));
  [6, 8, 4].forEach((value, i) => bytes.writeUInt16LE(value, at(72 + i * 2)));
  bytes.writeInt32LE(8, at(80));
  bytes.writeInt32LE(7, at(84));
}

test('flatbuffer readers read the fields of a table', () => {
  const buffer = flatbuffer(bytes);
  const table = rootTable(buffer);
  assert.equal(table, OFFSET + 24);
  assert.equal(readInt64(buffer, table, 4, 0n), -2n);
  assert.equal(readString(buffer, table, 8), 'abc');
  assert.equal(readBool(buffer, table, 12, false), true);
  assert.equal(readInt16(buffer, table, 14, 0), -3);
  assert.equal(readUint8(buffer, table, 16, 0), 200);
  const tables = readVector(buffer, table, 10, 4);
  assert.equal(tables.length, 1);
  assert.equal(readInt32(buffer, tableInVector(buffer, tables, 0), 4, 0), 7);
  assert.equal(readTable(buffer, table, 6), 0);
});

test('flatbuffer readers give the default for absent fields and those that a writer did not know', () => {
  const buffer = flatbuffer(bytes);
  const table = rootTable(buffer);
  for (const slot of [6, 18, 100]) {
    assert.equal(readInt64(buffer, table, slot, 5n), 5n);
    assert.equal(readInt32(buffer, table, slot, 5), 5);
    assert.equal(readInt16(buffer, table, slot, 5), 5);
    assert.equal(readUint8(buffer, table, slot, 5), 5);
    assert.equal(readBool(buffer, table, slot, true), true);
    assert.equal(readLength(buffer, table, slot), 0);
    assert.equal(readString(buffer, table, slot), '');
    assert.deepEqual(readVector(buffer, table, slot, 16), { start: 0, length: 0 });
  }
});

test('flatbuffer readers refuse negative lengths, elements outside a vector and vectors outside the buffer', () => {
  const buffer = flatbuffer(bytes);
  const table = rootTable(buffer);
  assert.throws(() => readLength(buffer, table, 4), /the length at byte \d+ is -2/);
  const tables = readVector(buffer, table, 10, 4);
  assert.throws(() => tableInVector(buffer, tables, 1), BatchMalformedError);
  assert.throws(() => tableInVector(buffer, tables, -1), BatchMalformedError);
  assert.throws(() => readVector(buffer, table, 10, 1000), BatchMalformedError);
});

test('flatbuffer readers never leave the range, wherever offsets point', () => {
  const property = fc.property(
    fc.array(fc.tuple(fc.nat(95), fc.oneof(fc.nat(255), fc.constantFrom(0, 1, 0x7f, 0x80, 0xff))), {
      minLength: 1,
      maxLength: 6,
    }),
    fc.nat(96),
    (changes, length) => {
      const mutant = Buffer.from(bytes);
      for (const [position, value] of changes) mutant[OFFSET + position] = value;
      // Reads outside of the range meet a view that has nothing there.
      const end = OFFSET + length;
      const buffer = { ...flatbuffer(mutant.subarray(0, end)), end };
      try {
        const table = rootTable(buffer);
        for (const slot of [4, 6, 8, 10, 12, 14, 16]) {
          readInt64(buffer, table, slot, 0n);
          readString(buffer, table, slot);
          readTable(buffer, table, slot);
          const tables = readVector(buffer, table, slot, 4);
          for (let i = 0; i < tables.length; i++) readInt32(buffer, tableInVector(buffer, tables, i), 4, 0);
        }
      } catch (error) {
        assert.ok(error instanceof BatchMalformedError, String(error));
      }
    },
  );
  fc.assert(property, { numRuns: 3000 });
});

function flatbuffer(content: Buffer): Flatbuffer {
  const view = new DataView(content.buffer, content.byteOffset, content.byteLength);
  return { bytes: content, view, start: OFFSET, end: content.length };
}
