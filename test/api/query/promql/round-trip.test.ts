/**
 * Goal: a printed expression is parsed to the tree that it was printed from, whether it was printed on one line or prettified.
 * Method: trees of every kind of node, made at random and well typed; ranges of the text are left out of the comparison.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc, { type Arbitrary } from 'fast-check';
import type { Expression } from '../../../../src/api/query/promql/ast.ts';
import { FULL_SYNTAX } from '../../../../src/api/query/promql/parse-options.ts';
import { parseExpression } from '../../../../src/api/query/promql/parser.ts';
import { prettify } from '../../../../src/api/query/promql/prettify.ts';
import { printExpression } from '../../../../src/api/query/promql/printer.ts';

const word = fc.constantFrom('up', 'http_requests_total', 'job:rate:sum', 'x', 'offset', 'sum', 'by', 'step');
const label = fc.constantFrom('job', 'le', 'on', 'host.name', 'a b', 'é');
const text = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 6 }),
  fc.constantFrom('\\', '"', '\n\t\u0000', '\u2028'),
);
const stringLiteral = text.filter((value) => !value.includes('\uFFFD')).map((value) => `'${escaped(value)}'`);
/** Quarters of seconds: of others a millisecond may be lost on the way, as upstream loses it, since seconds are a float. */
const duration = fc.oneof(
  fc.integer({ min: 1, max: 10_000_000 }).map((quarters) => `${quarters * 250}ms`),
  fc.integer({ min: 1, max: 10_000 }).map(String),
  fc.constantFrom('5m', '1h30m', '1y', '2w1d'),
);
const number = fc.oneof(
  fc.double({ min: 0, noNaN: true, noDefaultInfinity: true }).map((value) => String(value).replace('+', '')),
  fc.constantFrom('(Inf)', '0x1f', '1e3', '5m'),
);

const durationExpression: Arbitrary<string> = fc.letrec<{ operand: string }>((tie) => ({
  operand: fc.oneof(
    { maxDepth: 3, depthIdentifier: 'duration' },
    duration,
    fc.constantFrom('step()', 'range()'),
    fc.tuple(tie('operand'), fc.constantFrom('+', '-', '*', '^'), tie('operand')).map((parts) => parts.join(' ')),
    fc
      .tuple(fc.constantFrom('(', '-(', 'min_of(1m,', 'max_of(2,'), tie('operand'))
      .map(([open, inner]) => `${open}${inner})`),
  ),
})).operand;

/** Behind `offset` arithmetic needs parentheses. */
const offset = fc.oneof(
  duration,
  duration.map((value) => `-${value}`),
  durationExpression.map((value) => `-(${value})`),
);
const at = fc.oneof(
  fc.constantFrom('start()', 'end()'),
  fc.integer({ min: -1e12, max: 1e12 }).map((ms) => String(ms / 1000)),
);
const times = fc
  .tuple(fc.option(at), fc.constantFrom('', ' anchored', ' smoothed'), fc.option(offset))
  .map(([when, extension, ago]) => ({
    extension,
    times: `${when === null ? '' : ` @ ${when}`}${ago === null ? '' : ` offset ${ago}`}`,
  }));

const matcher = fc.oneof(
  fc
    .tuple(label, fc.constantFrom('=', '!='), stringLiteral)
    .map(([name, operator, value]) => `"${name}"${operator}${value}`),
  fc.tuple(label, fc.constantFrom('=~', '!~')).map(([name, operator]) => `"${name}"${operator}".+|x"`),
);
const braces = fc.array(matcher, { maxLength: 3 }).map((matchers) => `{${matchers.join(',')}}`);
const bare = fc.oneof(
  fc.tuple(word, braces).map((parts) => parts.join('')),
  braces.map((matchers) => `{"a metric",${matchers.slice(1)}`),
);
const selector = fc.tuple(bare, times).map(([what, { extension, times: when }]) => `${what}${extension}${when}`);
const matrix = fc
  .tuple(bare, fc.oneof(duration, durationExpression), times)
  .map(([what, range, { extension, times: when }]) => `${what}[${range}]${extension}${when}`);
const labels = fc.array(label, { maxLength: 2 }).map((names) => `(${names.map((name) => `"${name}"`).join(',')})`);
const fill = fc.constantFrom('', ' fill(0)', ' fill_left(-1.5)', ' fill_right(1e9) fill_left(2)');
const matching = fc
  .tuple(fc.constantFrom('', 'on', 'ignoring'), labels, fc.constantFrom('', ' group_left()', ' group_right(x)'), fill)
  .map(([how, names, group, filled]) => (how === '' ? filled : `${how} ${names}${group}${filled}`));

const vector: Arbitrary<string> = fc.letrec<{ vector: string; scalar: string; matrix: string }>((tie) => ({
  vector: fc.oneof(
    { maxDepth: 5, depthIdentifier: 'vector' },
    selector,
    tie('vector').map((inner) => `(${inner})`),
    tie('vector').map((inner) => `-${inner}`),
    tie('matrix').map((inner) => `rate(${inner})`),
    tie('scalar').map((inner) => `vector(${inner})`),
    fc.tuple(tie('vector'), stringLiteral).map(([inner, value]) => `label_join(${inner}, ${value}, "-", "a")`),
    fc
      .tuple(
        tie('vector'),
        fc.constantFrom('+', '-', '*', '/', '^', '%', 'atan2', '==', '> bool', '</', '>/'),
        matching,
        tie('vector'),
      )
      .map((parts) => parts.join(' ')),
    fc.tuple(tie('vector'), fc.constantFrom('and', 'or', 'unless'), tie('vector')).map((parts) => parts.join(' ')),
    fc
      .tuple(tie('vector'), fc.constantFrom('+', '<='), tie('scalar'))
      .map(([left, operator, right]) => `(${left} ${operator} (${right}))`),
    fc
      .tuple(fc.constantFrom('sum', 'limitk', 'quantile'), fc.constantFrom('', 'by', 'without'), labels, tie('vector'))
      .map(
        ([name, by, names, inner]) => `${name} ${by === '' ? '' : by + names} (${name === 'sum' ? '' : '2,'}${inner})`,
      ),
  ),
  scalar: fc.oneof(
    { maxDepth: 3, depthIdentifier: 'scalar' },
    number,
    fc.constantFrom('time()', 'step()', 'pi()'),
    fc.tuple(tie('scalar'), fc.constantFrom('+', '*', '^', '== bool'), tie('scalar')).map((parts) => parts.join(' ')),
    tie('vector').map((inner) => `scalar(${inner})`),
  ),
  matrix: fc.oneof(
    { maxDepth: 3, depthIdentifier: 'vector' },
    matrix,
    fc
      .tuple(tie('vector'), duration, fc.oneof(fc.constant(''), durationExpression), times)
      .map(([inner, range, step, { times: when }]) => `(${inner})[${range}:${step}]${when}`),
  ),
})).vector;

test('a printed expression is the expression that it was printed from', () => {
  fc.assert(
    fc.property(vector, (source) => {
      const tree = parseExpression(source, FULL_SYNTAX);
      const line = printExpression(tree);
      assert.deepEqual(withoutRanges(parseExpression(line, FULL_SYNTAX)), withoutRanges(tree), line);
      assert.deepEqual(withoutRanges(parseExpression(prettify(tree), FULL_SYNTAX)), withoutRanges(tree));
      assert.equal(printExpression(parseExpression(line, FULL_SYNTAX)), line);
    }),
    { numRuns: 300 },
  );
});

/** Conditions are printed in the order of their text, so their own order is no part of the comparison. */
function withoutRanges(tree: Expression): unknown {
  return JSON.parse(
    JSON.stringify(tree, (key, value: unknown) => {
      if (key === 'range') return undefined;
      if (key === 'matchers') return (value as readonly unknown[]).map((one) => JSON.stringify(one)).toSorted();
      return typeof value === 'number' ? String(value) : value;
    }),
  );
}

function escaped(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll("'", "\\'").replaceAll('\n', '\\n');
}
