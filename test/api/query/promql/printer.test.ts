/**
 * Goal: trees become text again: on one line, over many, and as the JSON of `parse_query`, each as Prometheus gives them.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { expressionJson } from '../../../../src/api/query/promql/ast-json.ts';
import { FULL_SYNTAX } from '../../../../src/api/query/promql/parse-options.ts';
import { parseExpression } from '../../../../src/api/query/promql/parser.ts';
import { prettify } from '../../../../src/api/query/promql/prettify.ts';
import { printExpression } from '../../../../src/api/query/promql/printer.ts';

function printed(text: string): string {
  return printExpression(parseExpression(text, FULL_SYNTAX));
}

test('expressions are printed in one form, however they were written', () => {
  const forms: Readonly<Record<string, string>> = {
    'SUM(x)BY(a,"b.c")': 'sum by (a, "b.c") (x)',
    'avg without()(x)': 'avg without () (x)',
    'quantile(0.9,x)': 'quantile(0.9, x)',
    'x{b="2",a=~"1",}': 'x{a=~"1",b="2"}',
    '{"x.y",\'a\'=`q"`}': '{__name__="x.y",a="q\\""}',
    'x{"a b"!="c"}': 'x{"a b"!="c"}',
    'a+on(b)group_left fill(1)c': 'a + on (b) group_left () fill (1) c',
    'a-ignoring(b)group_right(c)fill_right(2)fill_left(0.5)d':
      'a - ignoring (b) group_right (c) fill_left (0.5) fill_right (2) d',
    'a>bool 1': 'a > bool 1',
    'a</2': 'a </ 2',
    'x[90m]offset-90s@start()': 'x[1h30m] @ start() offset -1m30s',
    'x anchored offset 1w@1.5': 'x @ 1.500 anchored offset 1w',
    'x[1h]smoothed': 'x[1h] smoothed',
    'x[365d:0.5]': 'x[1y:500ms]',
    'x[(1m+step())*2:-range()]': 'x[(1m + step()) * 2:-range()]',
    'x offset -(5)': 'x offset -(5)',
    'x offset min_of(1m,+step())': 'x offset min_of(1m, step())',
    '-1h': '-1h',
    '1e21': '1000000000000000000000',
    '-(x)^-2': '-(x) ^ -2',
    'label_replace(x,"a",`b`,\'\',"c\\n")': 'label_replace(x, "a", "b", "", "c\\n")',
    '"\\xff\\u00e9\\u200b"': '"\\xffé\\u200b"',
  };
  for (const [text, expected] of Object.entries(forms)) assert.equal(printed(text), expected, text);
});

test('long expressions are broken where their parts begin', () => {
  const text = `sum by (job) (rate(http_requests_total{job="api-server", handler="/api/comments", code=~"5.."}[5m])) / ignoring (code)
    topk(5, (http_requests_total{job="api-server", handler="/api/comments", code=~"5..", instance="10.0.0.12:9090"}))`;
  assert.equal(
    prettify(parseExpression(text, FULL_SYNTAX)),
    [
      '  sum by (job) (rate(http_requests_total{code=~"5..",handler="/api/comments",job="api-server"}[5m]))',
      '/ ignoring (code)',
      '  topk(',
      '    5,',
      '    (',
      '      http_requests_total{code=~"5..",handler="/api/comments",instance="10.0.0.12:9090",job="api-server"}',
      '    )',
      '  )',
    ].join('\n'),
  );
  assert.equal(prettify(parseExpression('-  ( a+b )', FULL_SYNTAX)), '-(a + b)');
});

test('trees have the JSON form of parse_query', () => {
  const json = (text: string): unknown => expressionJson(parseExpression(text, FULL_SYNTAX));
  assert.deepEqual(json('a{b="c"} offset 1m @ end()'), {
    type: 'vectorSelector',
    name: 'a',
    matchers: [
      { name: 'b', value: 'c', type: '=' },
      { name: '__name__', value: 'a', type: '=' },
    ],
    offset: 60_000,
    offsetExpr: null,
    timestamp: null,
    startOrEnd: 'end',
    anchored: false,
    smoothed: false,
  });
  assert.deepEqual(json('a + on() fill_left(2) b'), {
    type: 'binaryExpr',
    op: '+',
    lhs: json('a'),
    rhs: json('b'),
    matching: { card: 'one-to-one', labels: [], on: true, include: [], fillValues: { lhs: 2, rhs: null } },
    bool: false,
  });
  assert.deepEqual(json('topk without (x) (2, -(a))'), {
    type: 'aggregation',
    op: 'topk',
    expr: { type: 'unaryExpr', op: '-', expr: { type: 'parenExpr', expr: json('a') } },
    param: { type: 'numberLiteral', val: '2' },
    grouping: ['x'],
    without: true,
  });
  assert.deepEqual(json('rate(a[1m + (5)] @ 2)'), {
    type: 'call',
    func: { name: 'rate', argTypes: ['matrix'], variadic: 0, returnType: 'vector' },
    args: [
      {
        ...(json('a @ 2') as object),
        type: 'matrixSelector',
        range: 0,
        rangeExpr: {
          type: 'durationExpr',
          op: '+',
          lhs: { type: 'numberLiteral', val: '60', duration: true },
          rhs: {
            type: 'durationExpr',
            op: '+',
            lhs: null,
            rhs: { type: 'numberLiteral', val: '5', duration: false },
            wrapped: true,
          },
          wrapped: false,
        },
      },
    ],
  });
  const { range, step, stepExpr } = json('a[1h:step()]') as Record<string, unknown>;
  assert.deepEqual(
    [range, step, stepExpr],
    [3_600_000, 0, { type: 'durationExpr', op: 'step', lhs: null, rhs: null, wrapped: false }],
  );
  assert.deepEqual(json('"\\xff"'), { type: 'stringLiteral', val: '\uFFFD' });
});
