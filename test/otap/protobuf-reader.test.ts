import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BinaryReader, BinaryWriter } from '@bufbuild/protobuf/wire';
import fc from 'fast-check';
import { BatchMalformedError } from '../../src/base/index.ts';
import { ProtobufReader, WIRE_TYPES } from '../../src/otap/protobuf-reader.ts';

const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;

test('ProtobufReader reads what an independent writer wrote', () => {
  const int64 = fc.bigInt({ min: INT64_MIN, max: INT64_MAX });
  const property = fc.property(
    int64,
    fc.nat(0xffffffff),
    fc.uint8Array(),
    fc.nat(2 ** 29 - 2),
    (big, small, bytes, skipped) => {
      const written = new BinaryWriter()
        .tag(1, WIRE_TYPES.VARINT)
        .int64(big)
        .tag(skipped + 1, WIRE_TYPES.FIXED64)
        .fixed64(7n)
        .tag(2, WIRE_TYPES.VARINT)
        .uint32(small)
        .tag(4, WIRE_TYPES.FIXED32)
        .fixed32(7)
        .tag(3, WIRE_TYPES.BYTES)
        .bytes(bytes)
        .finish();
      const reader = new ProtobufReader(written);
      assert.ok(reader.readTag('m'));
      assert.equal(reader.readInt64('a'), big);
      assert.ok(reader.readTag('m'));
      assert.equal(reader.fieldNumber, skipped + 1);
      reader.skipValue('m');
      assert.ok(reader.readTag('m'));
      assert.equal(reader.readUint32('b'), small);
      assert.ok(reader.readTag('m'));
      reader.skipValue('m');
      assert.ok(reader.readTag('m'));
      const end = reader.readValueEnd('c');
      assert.deepEqual(written.subarray(reader.position, end), bytes);
      reader.position = end;
      assert.equal(reader.readTag('m'), false);
    },
  );
  fc.assert(property);
});

test('ProtobufReader stays within its range', () => {
  const bytes = Uint8Array.of(0x08, 0x96, 0x01, 0xff, 0xff);
  const reader = new ProtobufReader(bytes, 1, 3);
  assert.equal(reader.readUint32('a'), 150);
  assert.equal(reader.readTag('m'), false);
  assert.throws(() => new ProtobufReader(bytes, 0, 2).skipBytes(3, 'a'), BatchMalformedError);
});

test('ProtobufReader reads varints padded to ten bytes and refuses longer ones', () => {
  const padded = Uint8Array.of(0x85, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00);
  assert.equal(new ProtobufReader(padded).readInt64('a'), 5n);
  assert.equal(new ProtobufReader(padded).readUint32('a'), 5);
  const overlong = Uint8Array.of(...Array(10).fill(0x80), 0x00);
  const above64Bits = Uint8Array.of(...Array(9).fill(0xff), 0x02);
  for (const bytes of [overlong, above64Bits]) {
    assert.throws(() => new ProtobufReader(bytes).readInt64('a'), /Cannot read a: a varint is longer than 64 bits/);
    assert.throws(() => new ProtobufReader(bytes).readUint32('a'), /longer than 64 bits/);
  }
  const length = new ProtobufReader(Uint8Array.of(0x0a, ...Array(10).fill(0x80), 0x00));
  length.readTag('m');
  assert.throws(() => length.readValueEnd('a'), /longer than 64 bits/);
});

test('ProtobufReader drops the high bits of a 32-bit field as protobuf says', () => {
  const minusOne = new BinaryWriter().int32(-1).finish();
  assert.equal(minusOne.length, 10);
  assert.equal(new ProtobufReader(minusOne).readUint32('a') | 0, -1);
});

test('ProtobufReader refuses field number 0, groups and truncated values', () => {
  const cases: [number[], RegExp][] = [
    [[0x02, 0x00], /a field has number 0/],
    [[0x0b], /its wire type is 3/],
    [[0x0c], /its wire type is 4/],
    [[0x0e], /its wire type is 6/],
    [[0x09, 1, 2, 3], /it is truncated/],
    [[0x0d, 1, 2, 3], /it is truncated/],
    [[0x08, 0x80], /a varint is truncated/],
    [[0x0a, 0x05, 1], /its value of 5 bytes is longer than what follows, 1/],
    [[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], /longer than what follows/],
    [[0x80], /a varint is truncated/],
  ];
  for (const [bytes, reason] of cases) {
    assert.throws(
      () => {
        const reader = new ProtobufReader(Uint8Array.from(bytes));
        while (reader.readTag('Message')) reader.skipValue('Message');
      },
      (error: unknown) => error instanceof BatchMalformedError && reason.test(error.message),
      reason.source,
    );
  }
});

test('ProtobufReader agrees with an independent reader on random bytes', () => {
  const property = fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
    const fields: [number, number, number][] = [];
    try {
      const reader = new ProtobufReader(bytes);
      while (reader.readTag('m')) {
        reader.skipValue('m');
        fields.push([reader.fieldNumber, reader.wireType, reader.position]);
      }
    } catch (error) {
      assert.ok(error instanceof BatchMalformedError);
      return;
    }
    const other = new BinaryReader(bytes);
    for (const [fieldNumber, wireType, end] of fields) {
      const tag = other.tag();
      assert.deepEqual([...tag], [fieldNumber, wireType]);
      other.skip(tag[1], tag[0]);
      assert.equal(other.pos, end);
    }
  });
  fc.assert(property, { numRuns: 2000 });
});
