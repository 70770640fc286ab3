/** Odd and broken expressions, and what the parser of Prometheus 3.15 makes of each: the text that it prints, or its error. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { FULL_SYNTAX } from '../../../../src/api/query/promql/parse-options.ts';
import { parseExpression } from '../../../../src/api/query/promql/parser.ts';
import { printExpression } from '../../../../src/api/query/promql/printer.ts';
import { root } from '../../../helpers/checkout.ts';

const LINES = readFileSync(join(root, 'test/fixtures/promql/parsed.tsv'), 'utf8').trimEnd().split('\n');

test('Expressions are taken, printed and refused as Prometheus does it', () => {
  assert.ok(LINES.length > 300);
  for (const line of LINES) {
    const [text, expected] = line.split('\t') as [string, string];
    assert.equal(`${text}\t${answerTo(text)}`, `${text}\t${expected}`);
  }
});

function answerTo(text: string): string {
  try {
    return `ok ${printExpression(parseExpression(text, FULL_SYNTAX))}`;
  } catch (error) {
    return (error as Error).message;
  }
}
