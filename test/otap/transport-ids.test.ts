import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type BytesColumn, VALUE_TYPES, type ValueColumns } from '../../src/otap/canonical.ts';
import {
  attributeRowsEqual,
  bytesColumnRowsEqual,
  exemplarRowsEqual,
  identifierRowsEqual,
} from '../../src/otap/row-equality.ts';
import { undoDelta, undoQuasiDelta } from '../../src/otap/transport-ids.ts';
import { encodeDelta, encodeQuasiDelta } from '../helpers/id-encoder.ts';

test('delta ids are running sums', () => {
  assert.deepEqual([...undoDelta(Uint16Array.of(0, 1, 1, 0, 2), null)], [0, 1, 2, 2, 4]);
});

test('delta ids skip null rows without touching the sum', () => {
  assert.deepEqual([...undoDelta(Uint32Array.of(3, 9, 1, 9, 1), Uint8Array.of(1, 0, 1, 0, 1))], [3, 0, 4, 0, 5]);
});

test('delta ids wrap at the width of their column', () => {
  assert.deepEqual([...undoDelta(Uint16Array.of(5, 0xffff, 0xfffd), null)], [5, 4, 1]);
  assert.deepEqual([...undoDelta(Uint32Array.of(5, 0xffffffff, 0xffff), null)], [5, 4, 0x10003]);
});

test('delta ids survive encoding and decoding', () => {
  for (const bits of [16, 32] as const) {
    const id = fc.option(fc.nat(2 ** bits - 1));
    fc.assert(
      fc.property(fc.array(id), (ids) => {
        const decoded = undoDelta(arrayOf(bits, encodeDelta(ids, bits)), validityOf(ids));
        assert.deepEqual(
          [...decoded],
          ids.map((value) => value ?? 0),
        );
      }),
    );
  }
});

test('quasi-delta ids survive encoding and decoding', () => {
  for (const bits of [16, 32] as const) {
    const row = fc.record({ id: fc.option(fc.nat(2 ** bits - 1)), group: fc.nat(2) });
    fc.assert(
      fc.property(fc.array(row), (rows) => {
        const ids = rows.map(({ id }) => id);
        const isEqual = (a: number, b: number) => rows[a]!.group === rows[b]!.group;
        const decoded = undoQuasiDelta(arrayOf(bits, encodeQuasiDelta(ids, bits, isEqual)), validityOf(ids), isEqual);
        assert.deepEqual(
          [...decoded],
          ids.map((value) => value ?? 0),
        );
      }),
    );
  }
});

test('attribute parents are deltas while key and value repeat, absolute otherwise', () => {
  const columns = attributes([
    ['a1', 'a'],
    ['a1', 'a'],
    ['a1', 'a'],
    ['a1', 'a'],
    ['a1', 'b'],
    ['a2', 'b'],
  ]);
  const equal = attributeRowsEqual(columns, columns.key, 'go');
  assert.deepEqual([...undoQuasiDelta(Uint16Array.of(0, 1, 1, 2, 0, 0), null, equal)], [0, 1, 2, 4, 0, 0]);
});

test('attribute parents of maps, slices and empty values are absolute', () => {
  for (const type of [VALUE_TYPES.EMPTY, VALUE_TYPES.MAP, VALUE_TYPES.SLICE]) {
    const columns = {
      ...attributes([
        ['k', 'v'],
        ['k', 'v'],
      ]),
      type: Uint8Array.of(type, type),
    };
    const equal = attributeRowsEqual(columns, columns.key, 'go');
    assert.deepEqual([...undoQuasiDelta(Uint16Array.of(4, 4), null, equal)], [4, 4]);
  }
});

test('attribute values compare by content when a dictionary holds a string twice', () => {
  const pool = stringsOf(['x', 'x', 'y', 'k', 'k']).pool;
  const str: BytesColumn = { kind: 'utf8', pool, indices: Uint8Array.of(0, 1, 2), validity: null };
  const key: BytesColumn = { kind: 'utf8', pool, indices: Uint8Array.of(3, 4, 3), validity: null };
  const equal = attributeRowsEqual({ ...noValues(3, VALUE_TYPES.STR), str }, key, 'go');
  assert.equal(equal(1, 0), true);
  assert.equal(equal(2, 1), false);
});

test('null attribute values are the default under the rule of Go and equal to nothing under that of Rust', () => {
  const key = stringsOf(['k', 'k', 'k', 'k']);
  const bytes: BytesColumn = {
    kind: 'binary',
    pool: stringsOf(['v', '']).pool,
    indices: Uint8Array.of(0, 0, 0, 1),
    validity: Uint8Array.of(1, 0, 0, 1),
  };
  const values = { ...noValues(4, VALUE_TYPES.BYTES), bytes };
  const go = attributeRowsEqual(values, key, 'go');
  const rust = attributeRowsEqual(values, key, 'rust');
  assert.deepEqual([go(1, 0), go(2, 1), go(3, 2)], [false, true, true]);
  assert.deepEqual([rust(1, 0), rust(2, 1), rust(3, 2)], [false, false, false]);
  const missing = { ...values, bytes: null };
  assert.equal(attributeRowsEqual(missing, key, 'go')(1, 0), true);
  assert.equal(attributeRowsEqual(missing, key, 'rust')(1, 0), false);
});

test('doubles compare as IEEE under the rule of Go and by bits under that of Rust', () => {
  const key = stringsOf(['k', 'k', 'k', 'k']);
  const double = { values: Float64Array.of(NaN, NaN, 0, -0), validity: null };
  const values = { ...noValues(4, VALUE_TYPES.DOUBLE), double };
  const go = attributeRowsEqual(values, key, 'go');
  const rust = attributeRowsEqual(values, key, 'rust');
  assert.deepEqual([go(1, 0), go(3, 2)], [false, true]);
  assert.deepEqual([rust(1, 0), rust(3, 2)], [true, false]);
});

test('integers compare in all 64 bits', () => {
  const int = { values: BigInt64Array.of(1n, 1n, 1n + (1n << 32n), -1n, -1n), validity: null };
  const equal = attributeRowsEqual({ ...noValues(5, VALUE_TYPES.INT), int }, stringsOf(Array(5).fill('k')), 'go');
  assert.deepEqual([equal(1, 0), equal(2, 1), equal(3, 2), equal(4, 3)], [true, false, false, true]);
});

test('exemplars compare which value is set, too, under the rule of Go', () => {
  const int = { values: BigInt64Array.of(0n, 0n, 7n, 7n, 0n, 0n), validity: Uint8Array.of(1, 0, 1, 1, 0, 0) };
  const double = { values: Float64Array.of(0, 0, 0, 0, 0, 0), validity: Uint8Array.of(0, 1, 0, 0, 0, 0) };
  const go = exemplarRowsEqual(int, double, 'go');
  assert.deepEqual([go(1, 0), go(2, 1), go(3, 2), go(4, 3), go(5, 4)], [false, false, true, false, true]);
  assert.equal(exemplarRowsEqual(int, double, 'rust')(1, 0), true);
  assert.equal(exemplarRowsEqual(null, null, 'go')(1, 0), true);
});

test('events and links compare by name and trace id; a missing column is equal everywhere', () => {
  assert.equal(bytesColumnRowsEqual(null)(1, 0), true);
  assert.equal(identifierRowsEqual(null)(1, 0), true);
  const names = bytesColumnRowsEqual(stringsOf(['a', 'a', 'b', '']));
  assert.deepEqual([names(1, 0), names(2, 1), names(3, 2)], [true, false, false]);
  const values = new Uint8Array(48);
  values[47] = 1;
  const traces = identifierRowsEqual({ width: 16, values, validity: null });
  assert.deepEqual([traces(1, 0), traces(2, 1)], [true, false]);
});

function arrayOf(bits: 16 | 32, values: number[]): Uint16Array | Uint32Array {
  return bits === 16 ? Uint16Array.from(values) : Uint32Array.from(values);
}

function validityOf(values: readonly (number | null)[]): Uint8Array | null {
  return values.includes(null) ? Uint8Array.from(values, (value) => (value === null ? 0 : 1)) : null;
}

function stringsOf(strings: readonly string[]): BytesColumn {
  const offsets = new Int32Array(strings.length + 1);
  strings.forEach((text, i) => {
    offsets[i + 1] = offsets[i]! + Buffer.byteLength(text);
  });
  const pool = { bytes: new Uint8Array(Buffer.from(strings.join(''))), offsets, length: strings.length };
  return { kind: 'utf8', pool, indices: null, validity: null };
}

function noValues(rowCount: number, type: number): ValueColumns {
  const none = { str: null, int: null, double: null, bool: null, bytes: null, ser: null };
  return { type: new Uint8Array(rowCount).fill(type), ...none };
}

function attributes(rows: readonly (readonly [key: string, value: string])[]) {
  const key = stringsOf(rows.map(([name]) => name));
  return { ...noValues(rows.length, VALUE_TYPES.STR), str: stringsOf(rows.map(([, value]) => value)), key };
}
