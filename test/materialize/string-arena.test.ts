import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { AssertionError, LIMITS } from '../../src/base/index.ts';
import { GrowableStringArena } from '../../src/materialize/string-arena.ts';
import type { BytesColumn, BytesPool } from '../../src/otap/index.ts';

const encoder = new TextEncoder();

/** The bytes that the words of a row say, and that padding and prefix are as DuckDB wants them. */
function read(arena: GrowableStringArena, words: Uint32Array, row: number): Uint8Array {
  const length = words[4 * row]!;
  const inside = new Uint8Array(Uint32Array.from(words.subarray(4 * row + 1, 4 * row + 4)).buffer);
  if (length <= 12) {
    assert.ok(inside.subarray(length).every((byte) => byte === 0));
    return inside.slice(0, length);
  }
  assert.equal(words[4 * row + 3], 0);
  const position = words[4 * row + 2]!;
  const bytes = arena.bytes.slice(position, position + length);
  assert.equal(bytes.length, length);
  assert.deepStrictEqual(inside.subarray(0, 4), bytes.subarray(0, 4));
  return bytes;
}

function readText(arena: GrowableStringArena, words: Uint32Array, row: number): string {
  return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(read(arena, words, row));
}

/** The text of one value as an adder writes it. */
function textOf(add: (arena: GrowableStringArena, words: Uint32Array) => void): string {
  const arena = new GrowableStringArena();
  const words = arena.takeWords(1);
  add(arena, words);
  return readText(arena, words, 0);
}

function poolOf(entries: readonly Uint8Array[]): BytesPool {
  const offsets = new Int32Array(entries.length + 1);
  for (const [i, entry] of entries.entries()) offsets[i + 1] = offsets[i]! + entry.length;
  // Room behind the end, as pools that grow have it.
  return { bytes: Buffer.concat([...entries, new Uint8Array(9)]), offsets, length: entries.length };
}

test('GrowableStringArena keeps strings of every length', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.uint8Array({ maxLength: 16 }), fc.uint8Array({ maxLength: 200 }))), (strings) => {
      const arena = new GrowableStringArena();
      const words = arena.takeWords(strings.length).fill(0xdeadbeef);
      for (const [row, bytes] of strings.entries()) {
        arena.add(words, row, Buffer.concat([Uint8Array.of(1, 2), bytes, Uint8Array.of(3)]), 2, 2 + bytes.length);
      }
      for (const [row, bytes] of strings.entries()) assert.deepStrictEqual(read(arena, words, row), bytes);
    }),
  );
});

test('GrowableStringArena grows without losing what it has', () => {
  const arena = new GrowableStringArena();
  const words = arena.takeWords(100);
  const texts = Array.from({ length: 100 }, (_, i) => `${i} `.repeat(3000));
  for (const [row, text] of texts.entries()) arena.addText(words, row, text);
  for (const [row, text] of texts.entries()) assert.equal(readText(arena, words, row), text);
});

test('GrowableStringArena writes text as UTF-8 and mends lone surrogates', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 100 }), (text) => {
      assert.equal(
        textOf((arena, words) => arena.addText(words, 0, text)),
        Buffer.from(text).toString(),
      );
    }),
  );
  assert.equal(
    textOf((arena, words) => arena.addText(words, 0, 'a\ud800b')),
    'a\ufffdb',
  );
});

test('GrowableStringArena writes 64-bit integers in decimal', () => {
  const check = (value: bigint) => {
    const halves = new Int32Array(BigInt64Array.of(value).buffer);
    const signed = textOf((arena, words) => arena.addInt64(words, 0, halves[0]!, halves[1]!));
    assert.equal(signed, String(value));
    const unsigned = new Uint32Array(halves.buffer);
    assert.equal(
      textOf((arena, words) => arena.addInt64(words, 0, unsigned[0]!, unsigned[1]!)),
      signed,
    );
  };
  fc.assert(fc.property(fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n), check), { numRuns: 2000 });
  for (let bits = 0n; bits < 64n; bits++) {
    for (const near of [-1n, 0n, 1n]) {
      check(BigInt.asIntN(64, 2n ** bits + near));
      check(BigInt.asIntN(64, -(2n ** bits) + near));
    }
  }
  for (let power = 1n; power < 10n ** 19n; power *= 10n)
    for (const near of [-1n, 0n, 1n]) check(BigInt.asIntN(64, power + near));
});

test('GrowableStringArena writes doubles as JSON does, so that they read back as the same bits', () => {
  const check = (value: number) => {
    const text = textOf((arena, words) => arena.addDouble(words, 0, value));
    assert.equal(text, Object.is(value, -0) ? '-0' : String(value));
    assert.ok(Object.is(Number(text), value));
  };
  fc.assert(fc.property(fc.double(), check), { numRuns: 3000 });
  fc.assert(
    fc.property(fc.integer({ min: -(10 ** 9), max: 10 ** 9 }), fc.integer({ min: -3, max: 9 }), (digits, places) => {
      check(digits / 10 ** places);
    }),
    { numRuns: 5000 },
  );
  fc.assert(fc.property(fc.maxSafeInteger(), check));
  for (const value of [
    0,
    -0,
    0.1,
    0.1 + 0.2,
    1e-6,
    1e-7,
    9.5e-7,
    123456789.123456,
    999999999999999.9,
    1e15,
    1e21,
    5e-324,
  ]) {
    check(value);
    check(-value);
  }
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) check(value);
});

test('GrowableStringArena writes booleans and base64', () => {
  assert.equal(
    textOf((arena, words) => arena.addBoolean(words, 0, true)),
    'true',
  );
  assert.equal(
    textOf((arena, words) => arena.addBoolean(words, 0, false)),
    'false',
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      assert.equal(
        textOf((arena, words) => arena.addBase64(words, 0, Buffer.concat([bytes, bytes]), 0, bytes.length)),
        Buffer.from(bytes).toString('base64'),
      );
    }),
  );
});

test('GrowableStringArena gathers columns: indices, nulls, any size of pool', () => {
  const entry = fc.oneof(fc.uint8Array({ maxLength: 14 }), fc.uint8Array({ maxLength: 300 }));
  const columns = fc
    .record({ entries: fc.array(entry, { maxLength: 30 }), repeat: fc.constantFrom(1, 40) })
    .chain(({ entries, repeat }) => {
      const pool = Array.from({ length: repeat }, () => entries).flat();
      const index = pool.length === 0 ? fc.constant(null) : fc.option(fc.nat(pool.length - 1), { freq: 5 });
      return fc.record({ pool: fc.constant(pool), rows: fc.array(index, { maxLength: 60 }) });
    });
  const arena = new GrowableStringArena();
  fc.assert(
    fc.property(fc.array(columns, { minLength: 1, maxLength: 3 }), (batch) => {
      arena.reset();
      const vectors = batch.map(({ pool, rows }) => {
        const validity = rows.includes(null) ? Uint8Array.from(rows, (row) => (row === null ? 0 : 1)) : null;
        const indices = Uint32Array.from(rows, (row) => row ?? 0);
        const column: BytesColumn = { kind: 'binary', pool: poolOf(pool), indices, validity };
        return arena.gather(column, rows.length);
      });
      for (const [i, { pool, rows }] of batch.entries()) {
        const { words, validity, arena: own } = vectors[i]!;
        assert.equal(own, arena);
        for (const [row, index] of rows.entries()) {
          assert.equal(validity === null || validity[row] !== 0, index !== null);
          const expected = index === null ? new Uint8Array() : new Uint8Array(pool[index]!);
          assert.deepStrictEqual(read(arena, words, row), expected);
        }
      }
    }),
    { numRuns: 300 },
  );
});

test('GrowableStringArena gathers columns without indices and with an empty pool', () => {
  const arena = new GrowableStringArena();
  const entries = ['one', '', 'a string that is longer', 'x'.repeat(500)].map((text) => encoder.encode(text));
  const plain = arena.gather({ kind: 'utf8', pool: poolOf(entries), indices: null, validity: null }, 4);
  for (const [row, bytes] of entries.entries()) assert.deepStrictEqual(read(arena, plain.words, row), bytes);
  const empty: BytesColumn = {
    kind: 'utf8',
    pool: poolOf([]),
    indices: new Uint8Array(2),
    validity: new Uint8Array(2),
  };
  const nulls = arena.gather(empty, 2);
  assert.equal(readText(arena, nulls.words, 1), '');
});

test('GrowableStringArena copies a dictionary entry once however often it is used', () => {
  const arena = new GrowableStringArena();
  const entries = Array.from({ length: 1000 }, (_, i) => encoder.encode(`entry ${i} `.repeat(100)));
  const strings = arena.addPool(poolOf(entries), 50);
  const words = arena.takeWords(50);
  for (let row = 0; row < 50; row++) strings.put(words, row, 500 + (row & 1));
  assert.equal(arena.bytes.length, entries[500]!.length + entries[501]!.length);
});

test('GrowableStringArena refuses pool entries that are not there', () => {
  const arena = new GrowableStringArena();
  const pool = poolOf([encoder.encode('one'), encoder.encode('two')]);
  for (const uses of [1, 100]) {
    const strings = arena.addPool(pool, uses);
    for (const entry of [2, 300, Number.NaN])
      assert.throws(() => strings.put(new Uint32Array(4), 0, entry), AssertionError);
  }
  const broken: BytesPool = { bytes: new Uint8Array(3), offsets: Int32Array.of(0, 4), length: 1 };
  assert.throws(() => arena.addPool(broken, 1), AssertionError);
});

test('GrowableStringArena forgets a batch at reset and gives back what a huge one took', () => {
  const arena = new GrowableStringArena();
  const words = arena.takeWords(1);
  arena.addText(words, 0, 'x'.repeat(LIMITS.arenaRetainedBytesMax));
  assert.ok(arena.bytes.buffer.byteLength > LIMITS.arenaRetainedBytesMax);
  arena.reset();
  assert.equal(arena.bytes.length, 0);
  assert.ok(arena.bytes.buffer.byteLength < LIMITS.arenaRetainedBytesMax);
});
