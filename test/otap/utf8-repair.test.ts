import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { repairStrings } from '../../src/otap/utf8-repair.ts';

test('valid strings are passed through as they are', () => {
  const strings = pack([Buffer.from('abc'), Buffer.from('wörd €'), Buffer.alloc(0)]);
  const repaired = repairStrings(strings, 3);
  assert.equal(repaired.bytes, strings.bytes);
  assert.equal(repaired.offsets, strings.offsets);
  assert.equal(repaired.repaired, 0);
});

test('invalid bytes become U+FFFD, and only in the strings that have them', () => {
  const repaired = repairStrings(pack([Buffer.from('ok'), Buffer.of(0x61, 0xff, 0x62), Buffer.from('ü')]), 3);
  assert.deepEqual(unpack(repaired, 3), ['ok', 'a\ufffdb', 'ü']);
  assert.equal(repaired.repaired, 1);
});

test('strings that are valid only together are repaired one by one', () => {
  const [first, second] = [Buffer.of(0x61, 0xc3), Buffer.of(0xbc, 0x62)];
  const repaired = repairStrings(pack([first, second]), 2);
  assert.deepEqual(unpack(repaired, 2), ['a\ufffd', '\ufffdb']);
  assert.equal(repaired.repaired, 2);
});

test('bytes outside the offsets do not matter', () => {
  const bytes = Uint8Array.of(0xff, 0x61, 0x62, 0xff);
  const repaired = repairStrings({ bytes, offsets: Int32Array.of(1, 2, 3) }, 2);
  assert.equal(repaired.repaired, 0);
  assert.deepEqual(unpack(repaired, 2), ['a', 'b']);
});

test('a byte order mark stays', () => {
  const strings = pack([Buffer.from('\ufeffa'), Buffer.of(0xff)]);
  assert.deepEqual(unpack(repairStrings(strings, 2), 2), ['\ufeffa', '\ufffd']);
});

test('any strings come out as Buffer decodes them one by one', () => {
  const byte = fc.oneof(fc.constantFrom(0x61, 0xc3, 0xbc, 0xe2, 0x82, 0xac, 0xf0, 0x80), fc.nat(255));
  const text = fc.array(byte, { maxLength: 6 }).map((bytes) => Buffer.from(bytes));
  fc.assert(
    fc.property(fc.array(text, { minLength: 1, maxLength: 6 }), (strings) => {
      const repaired = repairStrings(pack(strings), strings.length);
      assert.deepEqual(
        unpack(repaired, strings.length),
        strings.map((bytes) => bytes.toString('utf8')),
      );
      const changed = strings.filter((bytes) => !Buffer.from(bytes.toString('utf8')).equals(bytes));
      assert.equal(repaired.repaired, changed.length);
    }),
    { numRuns: 2000 },
  );
});

function pack(strings: readonly Buffer[]) {
  const offsets = new Int32Array(strings.length + 1);
  strings.forEach((bytes, i) => {
    offsets[i + 1] = offsets[i]! + bytes.length;
  });
  return { bytes: new Uint8Array(Buffer.concat(strings)), offsets };
}

function unpack(strings: { bytes: Uint8Array; offsets: ArrayLike<number> }, count: number): string[] {
  return Array.from({ length: count }, (_, i) =>
    Buffer.from(strings.bytes.subarray(strings.offsets[i], strings.offsets[i + 1])).toString('utf8'),
  );
}
