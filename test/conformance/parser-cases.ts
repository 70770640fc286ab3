import { readFileSync } from 'node:fs';
import { PromqlParseError } from '../../src/api/query/promql/parse-error.ts';
import { FULL_SYNTAX } from '../../src/api/query/promql/parse-options.ts';
import { parseExpression } from '../../src/api/query/promql/parser.ts';
import { parseSeriesDescription } from '../../src/api/query/promql/series-description.ts';

/** A text and whether upstream takes it. */
export interface ParserCase {
  readonly expr: string;
  readonly valid: boolean;
}

export interface ParserOutcome {
  readonly passed: number;
  readonly failures: readonly { readonly text: string; readonly reason: string }[];
  /** Texts whose verdict in the list is not upstream's. */
  readonly disputed: readonly string[];
}

/**
 * Series descriptions that lists drawn from upstream's tests call valid, because the error that upstream's table expects is in a column of its
 * own: Prometheus 3.14 and 3.15, when asked, refuse each of them with the words beside it, and so do we.
 */
const WRONG_VERDICTS: ReadonlyMap<string, string> = new Map([
  ['{"http.requests"xx}\t\t0+50x2', 'unexpected identifier "xx" in label set'],
  ['{} {{buckets:[5 10 7] schema:1}}+{{buckets:[1 2 3] schema:0}}x2', 'cannot merge from schema 0 to 1'],
  ['{} {{schema:1 schema:1}}', 'duplicate key "schema" in histogram'],
  ['{} {{buckets:[ 1]}}', 'unexpected'],
  ['{} {{ schema:1}}', 'unexpected'],
  ['{} {{counter_reset_hint:foo}}', 'bad histogram descriptor found: "foo"'],
]);

/** The verdicts of a file: a JSON list of cases. */
export function readParserCases(path: string): ParserCase[] {
  return JSON.parse(readFileSync(path, 'utf8')) as ParserCase[];
}

/**
 * Compares our verdicts with those of a list. Lists do not say what their texts are: one is valid if it is an expression, all experimental syntax
 * allowed, or a series description with values.
 */
export function checkParserCases(cases: readonly ParserCase[]): ParserOutcome {
  const failures: { text: string; reason: string }[] = [];
  const disputed: string[] = [];
  for (const { expr, valid } of cases) {
    const error = errorOf(textOf(expr));
    if ((error === undefined) === valid) continue;
    const upstream = WRONG_VERDICTS.get(expr);
    if (valid && upstream !== undefined && error!.includes(upstream)) disputed.push(expr);
    else failures.push({ text: expr, reason: error ?? 'taken, though upstream refuses it' });
  }
  return { passed: cases.length - failures.length - disputed.length, failures, disputed };
}

/** Why a text is neither an expression nor a series, as of what it looks like more. */
function errorOf(text: string): string | undefined {
  const asExpression = complaintOf(() => parseExpression(text, FULL_SYNTAX));
  if (asExpression === undefined) return undefined;
  let hasValues = false;
  const asSeries = complaintOf(() => {
    hasValues = parseSeriesDescription(text).values.length > 0;
  });
  if (asSeries === undefined && hasValues) return undefined;
  return WRONG_VERDICTS.has(text) ? asSeries : asExpression;
}

function complaintOf(parse: () => unknown): string | undefined {
  try {
    parse();
    return undefined;
  } catch (error) {
    // Anything else is a fault of ours, which no verdict may hide.
    if (!(error instanceof PromqlParseError)) throw error;
    return error.message;
  }
}

/**
 * Upstream's tests are strings of bytes, some of them no UTF-8. JSON cannot hold those: lists have a character of the same number for each
 * byte. What a server makes of such bytes is U+FFFD.
 */
function textOf(expr: string): string {
  return /[\u0080-\u00ff]/.test(expr) && !/[\u0100-\uffff]/.test(expr)
    ? Buffer.from(expr, 'latin1').toString('utf8')
    : expr;
}
