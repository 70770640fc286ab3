import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatFloat, formatShort } from '../../../../src/api/query/promql/format-float.ts';
import { hashRatio } from '../../../../src/api/query/promql/label-hash.ts';
import { Labels } from '../../../../src/api/query/promql/labels.ts';
import { compareNaturally } from '../../../../src/api/query/promql/natural-order.ts';
import { xxHash64 } from '../../../../src/api/query/promql/xxhash64.ts';

test('hashes are those of the reference implementation', () => {
  const hashes: Readonly<Record<string, string>> = {
    '': 'ef46db3751d8e999',
    a: 'd24ec4f1a98c6e5b',
    abc: '44bc2cf5ad770999',
    '0123456789abcdefghijklmnopqrstuvwxyz': '69196c1b3af0bff9',
    'The quick brown fox jumps over the lazy dog, and then over eleven more of them.': '85c67ea57c303735',
  };
  for (const [text, hash] of Object.entries(hashes)) {
    const halves = xxHash64(Buffer.from(text));
    assert.equal(halves.map((half) => half.toString(16).padStart(8, '0')).join(''), hash, text);
  }
});

test('labels fall where Prometheus has them fall', () => {
  const labels = Labels.of([
    ['__name__', 'up'],
    ['job', 'a'],
    ['instance', 'h:9090'],
  ]);
  assert.equal(hashRatio(labels), 0.668499663258516);
});

test('numbers are written whole, and read back the same', () => {
  fc.assert(
    fc.property(fc.double(), (value) => {
      const text = formatFloat(value);
      assert.doesNotMatch(text, /e/);
      assert.ok(Object.is(Number(text.replace('Inf', 'Infinity')), value), text);
    }),
  );
  assert.equal(formatFloat(1.5e-7), '0.00000015');
  assert.equal(formatFloat(-1e21), '-1000000000000000000000');
  assert.deepEqual([1e6, 123456, 1.5e-5, -0, Infinity].map(formatShort), ['1e+06', '123456', '1.5e-05', '-0', '+Inf']);
});

test('runs of digits are ordered as numbers', () => {
  const names = ['b', 'a10', 'a2', 'a02b', 'a', 'a1'];
  assert.deepEqual(names.sort(compareNaturally).slice(0, 3), ['a', 'a1', 'a2']);
});
