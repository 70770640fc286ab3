import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BatchMalformedError } from '../../src/base/index.ts';
import {
  createDictionary,
  createDictionaryMemory,
  type DictionaryEntries,
  extendDictionary,
} from '../../src/otap/dictionaries.ts';

const BYTES_MAX = 1 << 20;

test('a dictionary of strings holds what was appended, in order', () => {
  const text = fc.option(fc.string({ unit: 'grapheme', maxLength: 8 }));
  fc.assert(
    fc.property(fc.array(fc.array(text), { minLength: 1 }), (parts) => {
      const memory = createDictionaryMemory(BYTES_MAX);
      const dictionary = createDictionary(entriesOf(parts[0]!), memory);
      for (const part of parts.slice(1)) extendDictionary(dictionary, entriesOf(part), memory);
      const expected = parts.flat();
      assert.ok(dictionary.kind === 'bytes');
      assert.equal(dictionary.length, expected.length);
      assert.equal(memory.bytes, dictionary.byteLength);
      const { pool, entryValidity } = dictionary;
      for (const [i, string] of expected.entries()) {
        const bytes = pool.bytes.subarray(pool.offsets[i], pool.offsets[i + 1]);
        assert.equal(Buffer.from(bytes).toString(), string ?? '');
        assert.equal(entryValidity === null || entryValidity[i] !== 0, string !== null);
      }
    }),
  );
});

test('a dictionary of fixed-width values holds what was appended, in order', () => {
  const memory = createDictionaryMemory(BYTES_MAX);
  for (const width of [1, 2, 3, 4, 8, 16]) {
    const part = (start: number, length: number): DictionaryEntries => {
      const values = new Uint8Array(length * width).map((_, i) => start + i);
      return { kind: 'fixed', length, width, values, validity: null };
    };
    const dictionary = createDictionary(part(0, 3), memory);
    extendDictionary(dictionary, part(3 * width, 5), memory);
    assert.ok(dictionary.kind === 'fixed');
    const { buffer, byteOffset } = dictionary.lanes;
    assert.deepEqual([...new Uint8Array(buffer, byteOffset, 8 * width)], [...Array(8 * width).keys()]);
  }
});

test('memory past the limit is refused and leaves the dictionary as it was', () => {
  const memory = createDictionaryMemory(4096);
  const dictionary = createDictionary(entriesOf(['a', 'b']), memory);
  const held = memory.bytes;
  assert.throws(() => extendDictionary(dictionary, entriesOf(['x'.repeat(5000)]), memory), BatchMalformedError);
  assert.equal(memory.bytes, held);
  assert.equal(dictionary.length, 2);
  extendDictionary(dictionary, entriesOf(['c']), memory);
  assert.equal(dictionary.length, 3);
});

test('entries of another type do not extend a dictionary', () => {
  const memory = createDictionaryMemory(BYTES_MAX);
  const dictionary = createDictionary(entriesOf(['a']), memory);
  const fixed: DictionaryEntries = { kind: 'fixed', length: 1, width: 1, values: Uint8Array.of(1), validity: null };
  assert.throws(() => extendDictionary(dictionary, fixed, memory), BatchMalformedError);
});

function entriesOf(strings: readonly (string | null)[]): DictionaryEntries {
  const parts = strings.map((string) => Buffer.from(string ?? ''));
  const offsets = new Int32Array(strings.length + 1);
  parts.forEach((bytes, i) => {
    offsets[i + 1] = offsets[i]! + bytes.length;
  });
  const validity = strings.includes(null) ? Uint8Array.from(strings, (string) => (string === null ? 0 : 1)) : null;
  const pool = { bytes: new Uint8Array(Buffer.concat(parts)), offsets, length: strings.length };
  return { kind: 'bytes', column: { kind: 'utf8', length: strings.length, validity, pool, indices: null } };
}
