/**
 * Goal: expressions that need no RE2 match what RE2 matches.
 * Method: random expressions and values of few characters, against RE2 itself.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { regularExpression } from '../../../../src/api/query/promql/regular-expression.ts';
import { simplePatternTest } from '../../../../src/api/query/promql/simple-pattern.ts';

const piece = fc.constantFrom('a', 'b', 'ab', '.*', '.+', '|', '\\.', '\\-', '-', '/', ' ', 'é', '\n', '😀');
const value = fc
  .array(fc.constantFrom('a', 'b', 'ab', '.', '-', '/', ' ', 'é', '\n', '😀'), { maxLength: 8 })
  .map((parts) => parts.join(''));

test('a simple pattern matches what RE2 matches', () => {
  const pattern = fc
    .tuple(fc.array(piece, { maxLength: 8 }), fc.constantFrom(['', ''], ['(', ')'], ['(?:', ')']))
    .map(([pieces, [open, close]]) => `${open}${pieces.join('')}${close}`);
  fc.assert(
    fc.property(pattern, fc.array(value, { minLength: 5, maxLength: 20 }), (text, values) => {
      const simple = simplePatternTest(text);
      if (simple === undefined) return;
      for (const one of values) assert.equal(simple(one), regularExpression(text).testExact(one), `${text} ${one}`);
    }),
    { numRuns: 1000 },
  );
});

test('any text is either no simple pattern or means the same to RE2', () => {
  const text = fc.string({ unit: fc.constantFrom(...Array.from('ab.*+?()|[]{}^$\\d1')), maxLength: 8 });
  fc.assert(
    fc.property(text, fc.array(value, { maxLength: 8 }), (pattern, values) => {
      const simple = simplePatternTest(pattern);
      if (simple === undefined) return;
      for (const one of values)
        assert.equal(simple(one), regularExpression(pattern).testExact(one), `${pattern} ${one}`);
    }),
    { numRuns: 3000 },
  );
});

test('what people write is a simple pattern', () => {
  for (const text of ['', '.*', '.+', 'api|web', '(api|web)', 'api.*', '.*api.*', 'a\\.b|c.+', 'api-.*-v1'])
    assert.notEqual(simplePatternTest(text), undefined, text);
});

test('classes, counts, flags and anchors are left to RE2', () => {
  for (const text of ['[ab]', 'a?', 'a{2}', '(?i)a', '^a$', '\\d', '(a|b)c', '.', '.*?', 'a\\'])
    assert.equal(simplePatternTest(text), undefined, text);
});
