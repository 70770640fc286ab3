/**
 * Goal: what is no PromQL is refused at the place and in the words of Prometheus, and nothing makes the parser fail in another way.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { PromqlParseError } from '../../../../src/api/query/promql/parse-error.ts';
import { FULL_SYNTAX, type ParseOptions, STABLE_SYNTAX } from '../../../../src/api/query/promql/parse-options.ts';
import { parseExpression } from '../../../../src/api/query/promql/parser.ts';

function refusal(text: string, options: ParseOptions = FULL_SYNTAX): string {
  try {
    parseExpression(text, options);
  } catch (error) {
    assert.ok(error instanceof PromqlParseError, String(error));
    return error.message.replace(': parse error: ', ' ');
  }
  return 'taken';
}

function checkRefusals(cases: Readonly<Record<string, string>>, options?: ParseOptions): void {
  for (const [text, expected] of Object.entries(cases)) assert.equal(refusal(text, options), expected, text);
}

test('an error says where it is, in lines and bytes', () => {
  assert.equal(refusal('a +\n  "é" !'), "2:8 unexpected character after '!': '\uFFFD'");
  try {
    parseExpression('a +\n  ]', FULL_SYNTAX);
    assert.fail('taken');
  } catch (caught) {
    assert.ok(caught instanceof PromqlParseError);
    assert.deepEqual(caught.facts, { language: 'promql', line: 2, column: 3, start: 6, end: 7 });
    assert.equal(caught.code, 'TREASURY_QUERY_INVALID');
    assert.equal(caught.reason, "unexpected right bracket ']'");
  }
});

test('texts that end too early or hold nothing are refused', () => {
  checkRefusals({
    '': 'unknown position no expression found in input',
    ' # nothing': '1:1 no expression found in input',
    'a *': '1:4 unexpected end of input',
    '(a': '1:3 unclosed left parenthesis',
    'a[5m': '1:5 unclosed left bracket',
    'a[': '1:3 unexpected end of input in duration expression',
    'a{b=': '1:5 unexpected end of input inside braces',
    '"a': '1:1 unterminated quoted string',
    '`a': '1:1 unterminated raw string',
    'a)': "1:3 unexpected right parenthesis ')'",
  });
});

test('tokens that do not fit are named with what is being read', () => {
  checkRefusals({
    'a b': '1:3 unexpected identifier "b"',
    'a "quite a long text"': '1:3 unexpected string "\\"quite a l"...',
    'sum(a b)': '1:7 unexpected identifier "b" in aggregation',
    'sum by (a) b': '1:12 unexpected identifier "b" in aggregation',
    'sum by a (b)': '1:8 unexpected identifier "a" in grouping opts, expected "("',
    'sum by (1) (b)': '1:9 unexpected number "1" in grouping opts, expected label',
    'sum by (a b) (c)': '1:11 unexpected identifier "b" in grouping opts, expected "," or ")"',
    'a{1="b"}': "1:3 unexpected character inside braces: '1'",
    'a{="b"}': '1:3 unexpected "=" in label matching, expected identifier or "}"',
    'a{b}': '1:4 unexpected "}" in label matching, expected label matching operator',
    'a{b=c}': '1:5 unexpected identifier "c" in label matching, expected string',
    'a{b="c" d="e"}': '1:9 unexpected identifier "d" in label matching, expected "," or "}"',
    'a offset b': '1:10 unexpected identifier "b" in offset, expected number, duration, step(), or range()',
    'a @ b': '1:5 unexpected identifier "b" in @, expected timestamp',
    'a[1m +]': '1:7 unexpected "]" in subquery or range selector, expected number, duration, step(), or range()',
    'a[1m 2m]': '1:6 unexpected duration "2m" in subquery or range, expected ":" or "]"',
    'a[1m:1m 2m]': '1:9 unexpected duration "2m" in subquery selector, expected "]"',
    'a[1m:(]': '1:7 unexpected "]" in subquery selector, expected number, duration, step(), range(), or "]"',
    'rate(a[1m],)': '1:11 trailing commas not allowed in function call args',
    'a = b': '1:3 unexpected "="',
    'a group_left b': '1:3 unexpected <group_left>',
    'a + on(b) group_left * c': '1:22 unexpected <op:*> in grouping opts, expected "("',
    'a:b(c)': '1:4 unexpected "("',
  });
});

test('characters, numbers and strings that are none are refused', () => {
  checkRefusals({
    'a ; b': "1:3 unexpected character: ';'",
    'a =~ b': "1:3 unexpected character after '=': '~'",
    'a{b!c}': "1:4 unexpected character after '!' inside braces: 'c'",
    'a{{': "1:3 unexpected left brace '{'",
    'a[[': "1:3 unexpected character in duration expression: '['",
    '1x': '1:1 bad number or duration syntax: "1"',
    '1.2.3': '1:1 bad number or duration syntax: "1.2."',
    '1__0': '1:1 bad number or duration syntax: "1__"',
    '1e999': '1:1 error parsing number: strconv.ParseFloat: parsing "1e999": value out of range',
    '5m1h': '1:1 not a valid duration string: "5m1h"',
    '5hs': '1:1 unknown unit "hs" in duration "5hs"',
    '300y': '1:1 duration out of range',
    '"\\q"': "1:1 unknown escape sequence U+0071 'q'",
    '"\\xZZ"': "1:1 illegal character U+005A 'Z' in escape sequence",
    '"\\ud800"': '1:1 escape sequence is an invalid Unicode code point',
    '"\uFFFD"': '1:1 invalid UTF-8 rune',
    'a[:1m]': '1:4 unexpected colon before duration in duration expression',
    'a[1m::]': "1:6 unexpected colon ':'",
  });
});

test('modifiers are refused where they cannot apply or stand twice', () => {
  checkRefusals({
    'a offset 1m offset 1m': '1:1 offset may not be set multiple times',
    'a @ 1 @ start()': '1:1 @ <timestamp> may not be set multiple times',
    'a offset 1m [5m]': '1:13 no offset modifiers allowed before range',
    'a @ start() [5m]': '1:13 no @ modifiers allowed before range',
    '(a)[5m]': '1:4 ranges only allowed for vector selectors',
    'a[0]': '1:3 duration must be greater than 0',
    '(a) offset 1m':
      '1:1 offset modifier must be preceded by an instant vector selector or range vector selector or a subquery',
    '1 @ 2': '1:1 @ modifier must be preceded by an instant vector selector or range vector selector or a subquery',
    'a @ Inf': '1:1 timestamp out of bounds for @ modifier: +Inf',
    'a @ 1e20': '1:1 timestamp out of bounds for @ modifier: 100000000000000000000.000000',
    'a anchored smoothed': '1:1 anchored and smoothed modifiers cannot be used together',
    'a[5m:] smoothed': '1:1 smoothed modifier is not supported for subqueries',
    'rate(a[5m]) anchored': '1:1 anchored modifier not implemented',
    'a[1m / 0]': '1:6 division by zero',
    'a[1m % 0s]': '1:6 modulo by zero',
    'a[1e10]': '1:3 duration out of range',
  });
});

test('types of operands and arguments are checked', () => {
  checkRefusals({
    'rate(a)': '1:6 expected type range vector in call to function "rate", got instant vector',
    'abs(a[5m])': '1:5 expected type instant vector in call to function "abs", got range vector',
    'sum(1)': '1:5 expected type instant vector in aggregation expression, got scalar',
    'topk("a", b)': '1:6 expected type scalar in aggregation parameter, got string',
    'count_values(1, b)': '1:14 expected type string in aggregation parameter, got scalar',
    'topk(a)': '1:1 wrong number of arguments for aggregate expression provided, expected 2, got 1',
    'sum()': '1:1 no arguments for aggregate expression provided',
    'nothing(a)': '1:1 unknown function with name "nothing"',
    'RATE(a[5m])': '1:1 unknown function with name "RATE"',
    'time(1)': '1:1 expected 0 argument(s) in call to "time", got 1',
    'round(a, 1, 2)': '1:1 expected at most 2 argument(s) in call to "round", got 3',
    'label_join(a, "b")': '1:1 expected at least 3 argument(s) in call to "label_join", got 2',
    '-"a"': '1:1 unary expression only allowed on expressions of type scalar or instant vector, got "string"',
    'a[5m] + b': '1:1 binary expression must contain only scalar and instant vector types',
    '1 == 2': '1:3 comparisons between scalars must use BOOL modifier',
    'a + bool b': '1:3 bool modifier can only be used on comparison operators',
    'a and 1': '1:1 set operator "and" not allowed in binary scalar expression',
    'a + on(b) 1': '1:1 vector matching only allowed between instant vectors',
    'a + fill(1) 1': '1:1 filling in missing series only allowed between instant vectors',
    'a or fill(1) b': '1:1 filling in missing series not allowed for set operators',
    'a and on(b) group_left c': '1:1 no grouping allowed for "and" operation',
    'a + on(b) group_left(b) c': '1:3 label "b" must not occur in ON and GROUP clause at once',
    'a[5m:1m][5m:]': '1:1 subquery is only allowed on instant vector, got matrix instead',
    'info(a, b)': '1:9 expected label selectors only, got vector selector instead',
    'info(a, -b)': '1:9 expected label selectors only',
  });
});

test('selectors must select, by matchers that are regular expressions', () => {
  checkRefusals({
    '{}': '1:1 vector selector must contain at least one non-empty matcher',
    '{a=~".*", b=""}': '1:1 vector selector must contain at least one non-empty matcher',
    '{a!~"x"}': '1:1 vector selector must contain at least one non-empty matcher',
    'a{__name__="b"}': '1:1 metric name must not be set twice: "a" or "b"',
    'a{"b"}': '1:1 metric name must not be set twice: "a" or "b"',
    'a{b=~"("}': '1:3 error parsing regexp: missing closing ): `(`',
    'a{b=~"x(?=y)"}': '1:3 error parsing regexp: invalid or unsupported Perl syntax: `(?=`',
    'sum by ("") (a)': '1:9 invalid label name for grouping: ""',
  });
  assert.equal(refusal('{a!~".*"}'), 'taken');
  assert.equal(refusal('{a=~".+"}'), 'taken');
});

test('experimental syntax has switches, as upstream', () => {
  checkRefusals(
    {
      'info(a)': '1:1 function "info" is not enabled',
      'limitk(1, a)':
        '1:1 limitk() is experimental and must be enabled with --enable-feature=promql-experimental-functions',
      'a[1m + 1m]': '1:3 experimental duration expression is not enabled',
      'a offset step()': '1:10 experimental duration expression is not enabled',
      'a[5m] smoothed': '1:1 smoothed modifier is experimental and not enabled',
      'a + fill(0) b': '1:1 binop fill modifiers are experimental and not enabled',
    },
    STABLE_SYNTAX,
  );
  // The duration behind `offset` ends before the sum.
  assert.equal(refusal('a offset -1m + b', STABLE_SYNTAX), 'taken');
});

test('texts that nest too deep are refused and do not overflow the stack', () => {
  const deep = 100_000;
  assert.match(refusal(`1${'+1'.repeat(deep)}`), /nested deeper than 1500 levels$/);
  for (const text of [
    `${'('.repeat(deep)}1${')'.repeat(deep)}`,
    `${'-'.repeat(deep)}a`,
    `${'abs('.repeat(deep)}a${')'.repeat(deep)}`,
    `1${'^1'.repeat(deep)}`,
    `a[${'('.repeat(deep)}1m${')'.repeat(deep)}]`,
    `a[1m${'+1m'.repeat(deep)}]`,
    `a${'[1m:]'.repeat(deep)}`,
  ]) {
    assert.match(refusal(text), /nested deeper than 500 levels$/);
  }
  assert.equal(refusal(`a${' or a'.repeat(1400)}`), 'taken');
});

test('any text is taken or refused, and nothing else', () => {
  const words =
    'a sum by ( ) [ ] { } , : = =~ != @ offset 5m 1 "b" + - ^ or on bool group_left fill step start max_of smoothed ` # \\';
  const pieces = fc.constantFrom(...words.split(' '), '\n');
  const text = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 40 }),
    fc.array(pieces, { maxLength: 25 }).map((parts) => parts.join(' ')),
  );
  fc.assert(
    fc.property(text, (candidate) => {
      refusal(candidate);
      refusal(candidate, STABLE_SYNTAX);
    }),
    { numRuns: 500 },
  );
});
