/**
 * Goal: PromQL becomes the tree that it means: what binds to what, which modifier goes where, which range of the text each node covers.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Expression, VectorSelector } from '../../../../src/api/query/promql/ast.ts';
import { FULL_SYNTAX } from '../../../../src/api/query/promql/parse-options.ts';
import { parseExpression } from '../../../../src/api/query/promql/parser.ts';

function parse(text: string): Expression {
  return parseExpression(text, FULL_SYNTAX);
}

function parseAs<Kind extends Expression['kind']>(kind: Kind, text: string): Extract<Expression, { kind: Kind }> {
  const expression = parse(text);
  assert.equal(expression.kind, kind, text);
  return expression as Extract<Expression, { kind: Kind }>;
}

/** A tree as nested parentheses, one pair for each operator. */
function shape(expression: Expression): string {
  switch (expression.kind) {
    case 'number':
      return String(expression.value);
    case 'vector-selector':
      return expression.name;
    case 'binary':
      return `(${shape(expression.left)} ${expression.operator} ${shape(expression.right)})`;
    case 'unary':
      return `(${expression.operator}${shape(expression.expression)})`;
    case 'paren':
      return `[${shape(expression.expression)}]`;
    case 'call':
      return `${expression.func.name}${expression.arguments.map(shape).join()}`;
    default:
      return expression.kind;
  }
}

test('operators bind by their precedence and group to the left, powers to the right', () => {
  const shapes: Readonly<Record<string, string>> = {
    'a + b * c': '(a + (b * c))',
    'a * b + c': '((a * b) + c)',
    'a - b - c': '((a - b) - c)',
    'a ^ b ^ c': '(a ^ (b ^ c))',
    'a or b and c': '(a or (b and c))',
    'a unless b or c and d': '((a unless b) or (c and d))',
    'a > bool b + c': '(a > (b + c))',
    'a % b atan2 c / d': '(((a % b) atan2 c) / d)',
    'a == b != c': '((a == b) != c)',
    'a </ 2 * 3': '(a </ (2 * 3))',
    'a >/ 2 and b': '((a >/ 2) and b)',
    '(a + b) * c': '([(a + b)] * c)',
  };
  for (const [text, expected] of Object.entries(shapes)) assert.equal(shape(parse(text)), expected, text);
});

test('a sign binds tighter than products and looser than powers, and is one with a number', () => {
  assert.equal(shape(parse('-a * b')), '((-a) * b)');
  assert.equal(shape(parse('-a ^ b')), '(-(a ^ b))');
  assert.equal(shape(parse('a ^ -b * c')), '((a ^ (-b)) * c)');
  assert.equal(shape(parse('+-a')), '(+(-a))');
  assert.equal(shape(parse('-2 * -3')), '(-2 * -3)');
  assert.equal(shape(parse('- -2')), '2');
  assert.equal(shape(parse('-2 ^ 2')), '(-(2 ^ 2))');
});

test('numbers are decimal, octal, hexadecimal, parted by underscores, or durations in seconds', () => {
  const values: Readonly<Record<string, number>> = {
    '42': 42,
    '.5': 0.5,
    '5.': 5,
    '6.02e23': 6.02e23,
    '1e-3': 0.001,
    '017': 15,
    '08': 8,
    '0x1F': 31,
    '0X_aB': 171,
    '1_000_000': 1_000_000,
    '1_0.2_5': 10.25,
    iNf: Infinity,
    '-INF': -Infinity,
    '5m': 300,
    '1h30m': 5400,
    '250ms': 0.25,
    '1y2w3d': 365 * 86_400 + 17 * 86_400,
  };
  for (const [text, value] of Object.entries(values)) assert.equal(parseAs('number', text).value, value, text);
  assert.ok(Number.isNaN(parseAs('number', 'NAN').value));
  assert.ok(parseAs('number', '5m').isDuration);
});

test('strings take escapes in quotes and none in backquotes', () => {
  assert.equal(parseAs('string', String.raw`"a\tb\"c\x41\102\u20ac\U0001F600"`).value, 'a\tb"cAB€😀');
  assert.equal(parseAs('string', String.raw`'it\'s "so"'`).value, `it's "so"`);
  assert.equal(parseAs('string', '`raw\\n\n`').value, 'raw\\n\n');
  assert.equal(parseAs('string', String.raw`"\xe2\x82\xac"`).value, '€');
});

test('bytes that are no UTF-8 stay told apart in text', () => {
  assert.equal(parseAs('string', String.raw`"a\xffb"`).value, 'a\udcffb');
  assert.equal(parseAs('string', String.raw`"\xe2\x82x"`).value, '\udce2\udc82x');
});

test('a selector holds its conditions in order, the name last', () => {
  const selector = parseAs('vector-selector', 'up{job="api", env!=`x`, pod=~"a.*", zone!~\'b|c\',}');
  assert.equal(selector.name, 'up');
  assert.deepEqual(selector.matchers, [
    { name: 'job', operator: '=', value: 'api' },
    { name: 'env', operator: '!=', value: 'x' },
    { name: 'pod', operator: '=~', value: 'a.*' },
    { name: 'zone', operator: '!~', value: 'b|c' },
    { name: '__name__', operator: '=', value: 'up' },
  ]);
});

test('names of any characters stand quoted inside braces', () => {
  const selector = parseAs('vector-selector', '{"http.server.duration", "host.name"="a"}');
  assert.equal(selector.name, '');
  assert.deepEqual(selector.matchers, [
    { name: '__name__', operator: '=', value: 'http.server.duration' },
    { name: 'host.name', operator: '=', value: 'a' },
  ]);
});

test('keywords may name metrics and labels where nothing else can be meant', () => {
  for (const name of ['sum', 'by', 'offset', 'start', 'step', 'min_of', 'and', 'or', 'smoothed', 'fill', 'without']) {
    assert.equal(parseAs('vector-selector', `${name}{on="1"}`).name, name);
  }
  assert.equal(shape(parse('fill + fill')), '(fill + fill)');
  assert.equal(shape(parse('or or or')), '(or or or)');
  assert.deepEqual(parseAs('aggregate', 'sum by (on, bool, sum, "a b") (x)').grouping, ['on', 'bool', 'sum', 'a b']);
  assert.equal(parseAs('aggregate', 'SUM WITHOUT (a) (x)').without, true);
});

test('offset, @ and extensions go to the selector, in and out of a range', () => {
  const range = parseAs('matrix-selector', 'x[1h] anchored offset -5m @ 1609746000.5');
  assert.equal(range.rangeMs, 3_600_000);
  assert.equal(range.selector.offsetMs, -300_000);
  assert.equal(range.selector.timestampMs, 1_609_746_000_500);
  assert.ok(range.selector.anchored && !range.selector.smoothed);
  const instant = parseAs('vector-selector', 'x @ end() smoothed offset 1.5');
  assert.equal(instant.offsetMs, 1500);
  assert.equal(instant.startOrEnd, 'end');
  assert.ok(instant.smoothed);
  assert.equal(parseAs('vector-selector', 'x @ -1m').timestampMs, -60_000);
});

test('a subquery has range, step and times of its own', () => {
  const subquery = parseAs('subquery', 'rate(x[1m] offset 1s)[30m:10s] offset 1h @ start()');
  assert.deepEqual(
    [subquery.rangeMs, subquery.stepMs, subquery.offsetMs, subquery.startOrEnd],
    [1_800_000, 10_000, 3_600_000, 'start'],
  );
  assert.equal(parseAs('subquery', 'x[5m:]').stepMs, 0);
  assert.equal(parseAs('subquery', 'x @ 5 offset 1m [5m:]').timestampMs, undefined);
});

test('durations may be worked out, in brackets as far as they go, behind offset up to the first operand', () => {
  const range = parseAs('matrix-selector', 'x[(1m + step()) * 2]').rangeExpression;
  assert.equal(range?.operation, 'binary');
  const offset = parse('x offset step() * 2') as Extract<Expression, { kind: 'binary' }>;
  assert.equal(offset.operator, '*');
  assert.equal((offset.left as VectorSelector).offsetExpression?.operation, 'step');
  const wrapped = parseAs('vector-selector', 'x offset -(5m)');
  assert.equal(wrapped.offsetExpression?.operation, 'unary');
  const least = parseAs('subquery', 'x[max_of(1h, range()):min_of(30s, step() / 2)]');
  assert.deepEqual([least.rangeExpression?.operation, least.stepExpression?.operation], ['max_of', 'min_of']);
  assert.equal(parseAs('matrix-selector', 'x[-1m + 2m]').rangeExpression?.operation, 'binary');
});

test('vectors match as their modifiers say, and set operators many to many', () => {
  const grouped = parseAs('binary', 'a / on(job) group_left(pod, node) fill_right(0) fill_left(-1) b');
  assert.deepEqual(grouped.matching, {
    cardinality: 'many-to-one',
    labels: ['job'],
    on: true,
    include: ['pod', 'node'],
    fillLeft: -1,
    fillRight: 0,
  });
  assert.equal(parseAs('binary', 'a * ignoring(x) group_right b').matching?.cardinality, 'one-to-many');
  assert.equal(parseAs('binary', 'a and on() b').matching?.cardinality, 'many-to-many');
  assert.equal(parseAs('binary', 'a + b').matching?.cardinality, 'one-to-one');
  assert.equal(parseAs('binary', 'a + 1').matching, undefined);
  const filled = parseAs('binary', 'a - fill(2) b').matching;
  assert.deepEqual([filled?.fillLeft, filled?.fillRight], [2, 2]);
  assert.ok(parseAs('binary', '1 > bool 2').returnBool);
});

test('aggregations take their modifier on either side, and a parameter before the vector', () => {
  const before = parseAs('aggregate', 'topk by (a,) (3, x)');
  const behind = parseAs('aggregate', 'topk(3, x) by (a)');
  assert.deepEqual([before.operator, before.grouping, before.without], ['topk', ['a'], false]);
  assert.deepEqual(before.parameter?.kind, 'number');
  assert.deepEqual([behind.grouping, behind.expression.kind], [['a'], 'vector-selector']);
  assert.equal(parseAs('aggregate', 'count_values("v", x)').parameter?.kind, 'string');
});

test('the second argument of info may match everything', () => {
  const call = parseAs('call', 'info(x, {k8s=~".*"})');
  assert.ok((call.arguments[1] as VectorSelector).mayMatchAll);
});

test('comments and line ends part tokens and mean nothing', () => {
  assert.equal(shape(parse('a # the first\n\t+ # {"\r\nb{x="1" # in braces\n}')), '(a + b)');
});

test('every node knows its range of the text', () => {
  const text = ' sum by (a) (rate(x{b="c"}[5m] offset 1m)) / -(y + 1)';
  const sum = parse(text) as Extract<Expression, { kind: 'binary' }>;
  const cut = ({ range }: Expression): string => text.slice(range.start, range.end);
  assert.equal(cut(sum), text.trim());
  assert.equal(cut(sum.left), 'sum by (a) (rate(x{b="c"}[5m] offset 1m))');
  const call = (sum.left as Extract<Expression, { kind: 'aggregate' }>).expression;
  assert.equal(cut(call), 'rate(x{b="c"}[5m] offset 1m)');
  const [range] = (call as Extract<Expression, { kind: 'call' }>).arguments;
  assert.equal(cut(range!), 'x{b="c"}[5m] offset 1m');
  assert.equal(cut((range as Extract<Expression, { kind: 'matrix-selector' }>).selector), 'x{b="c"}');
  assert.equal(cut(sum.right), '-(y + 1)');
});
