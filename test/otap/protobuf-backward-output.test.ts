import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BackwardOutput } from '../../src/otap/protobuf-backward-output.ts';
import { fixed64, fixed64Field, lengthField, varint, varintField } from '../helpers/otlp-wire-messages.ts';

const UINT64_MAX = 2n ** 64n - 1n;
/** Numbers around those that take another byte. */
const integers = fc.oneof(
  fc.bigInt({ min: 0n, max: UINT64_MAX }),
  fc.tuple(fc.integer({ min: 0, max: 64 }), fc.constantFrom(-1n, 0n, 1n)).map(([bits, by]) => {
    const value = 2n ** BigInt(bits) + by;
    return value > UINT64_MAX ? UINT64_MAX : value;
  }),
);

test('numbers and bytes are written as protobuf has them, however the buffer grows', () => {
  const items = fc.array(
    fc.oneof(
      fc.record({ kind: fc.constantFrom('varint', 'fixed'), value: integers }),
      fc.record({ kind: fc.constant('bytes'), size: fc.integer({ min: 0, max: 300 }) }),
    ),
    { maxLength: 40 },
  );
  fc.assert(
    fc.property(items, (fields) => {
      const output = outputOf(100_000);
      const expected: Buffer[] = [];
      for (const field of fields.toReversed()) {
        if ('size' in field) {
          const content = Buffer.alloc(field.size, field.size);
          const before = output.length;
          output.putBytes(content, 0, content.length);
          output.close(before, 0xfa);
          output.putField(2, content, 0, content.length);
          expected.unshift(lengthField(0, content), varint(0xfan), lengthField(0, content).subarray(1));
        } else {
          const high = Number(field.value >> 32n);
          const low = Number(field.value & 0xffff_ffffn);
          if (field.kind === 'fixed') output.putFixed64(high, low);
          else output.putVarint64(high, low);
          output.putVarint(low);
          expected.unshift(varint(BigInt(low)), field.kind === 'fixed' ? fixed64(field.value) : varint(field.value));
        }
      }
      assert.deepEqual(Buffer.from(output.finish()), Buffer.concat(expected));
      assert.equal(output.length, Buffer.concat(expected).length);
    }),
  );
});

test('a message is written from its last field to its first, its length last', () => {
  const output = outputOf(1000);
  const start = output.length;
  output.putDouble(1.5);
  output.putVarint(0x19);
  output.putFixed32(7);
  output.putVarint(0x15);
  output.putVarint(300);
  output.putVarint(0x08);
  output.close(start, 0x0a);
  const double = Buffer.alloc(8);
  double.writeDoubleLE(1.5);
  const fields = [varintField(1, 300n), Buffer.from([0x15, 7, 0, 0, 0]), fixed64Field(3, double.readBigUInt64LE())];
  assert.deepEqual(Buffer.from(output.finish()), lengthField(1, Buffer.concat(fields)));
});

test('more bytes than the bound are refused, as many are not', () => {
  const content = new Uint8Array(1000);
  const output = outputOf(1000);
  output.putBytes(content, 0, 1000);
  assert.equal(output.finish().length, 1000);
  assert.throws(() => {
    output.putVarint(1);
    output.finish();
  }, /too large/);
  assert.throws(() => outputOf(999).putBytes(content, 0, 1020), /too large/);
});

function outputOf(bytesMax: number): BackwardOutput {
  return new BackwardOutput({ capacityBytes: 0, bytesMax, tooLarge: () => new Error('too large') });
}
