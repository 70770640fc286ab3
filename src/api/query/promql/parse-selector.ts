import { TreasuryError } from '../../../base/index.ts';
import type { LabelMatcher, MatchOperator, PositionRange, VectorSelector } from './ast.ts';
import { isNumberAhead } from './parse-number.ts';
import { quoteText } from './quote.ts';
import { regularExpression } from './regular-expression.ts';
import { isUtf8 } from './stray-bytes.ts';
import type { ErrorContext, TokenStream } from './token-stream.ts';
import { isAggregator, isPreprocessor, type Token, type TokenKind } from './tokens.ts';
import { unquote } from './unquote.ts';

/** The conditions of `{...}`. */
export interface Matchers {
  readonly matchers: readonly LabelMatcher[];
  readonly range: PositionRange;
}

/** The selector of a metric name, conditions, or both. */
export function selectorOf(name: Token | undefined, braces: Matchers | undefined): VectorSelector {
  const matchers = [...(braces?.matchers ?? [])];
  if (name !== undefined) matchers.push({ name: '__name__', operator: '=', value: name.text });
  return {
    kind: 'vector-selector',
    range: { start: (name ?? braces!.range).start, end: (braces?.range ?? name!).end },
    name: name?.text ?? '',
    matchers,
    offsetMs: 0,
    offsetExpression: undefined,
    timestampMs: undefined,
    startOrEnd: undefined,
    anchored: false,
    smoothed: false,
    mayMatchAll: false,
  };
}

/** Words that are keywords elsewhere and yet may name a metric. */
const NAME_WORDS: ReadonlySet<TokenKind> = new Set([
  'identifier',
  'metric-identifier',
  'by',
  'without',
  'and',
  'or',
  'unless',
  'offset',
  'anchored',
  'smoothed',
  'fill',
  'fill_left',
  'fill_right',
]);

export function isMetricName(kind: TokenKind): boolean {
  return NAME_WORDS.has(kind) || isAggregator(kind) || isPreprocessor(kind);
}

/** Whether an expression may begin with the token ahead. */
export function isExpressionAhead(tokens: TokenStream): boolean {
  const { kind } = tokens.peek();
  return isNumberAhead(tokens) || isMetricName(kind) || EXPRESSION_STARTS.has(kind);
}

const EXPRESSION_STARTS: ReadonlySet<TokenKind> = new Set(['(', '{', 'string', '+', '-']);

/** Words that may name a label in a list of labels, and no metric. `without` is the other way round, as upstream. */
const LABEL_WORDS: ReadonlySet<TokenKind> = new Set(['bool', 'group_left', 'group_right', 'ignoring', 'on', 'atan2']);

const MATCHING = 'label matching';
const MATCHER_START: ErrorContext = { name: MATCHING, expected: 'identifier or "}"' };
const MATCHER_OPERATOR: ErrorContext = { name: MATCHING, expected: 'label matching operator' };
const MATCHER_VALUE: ErrorContext = { name: MATCHING, expected: 'string' };
const MATCHER_END: ErrorContext = { name: MATCHING, expected: '"," or "}"' };

/** `{...}`; the brace is ahead. A comma may stand behind the last condition. */
export function parseMatchers(tokens: TokenStream): Matchers {
  const open = tokens.take();
  const matchers: LabelMatcher[] = [];
  while (!tokens.at('}')) {
    matchers.push(parseMatcher(tokens));
    if (tokens.takeIf(',') === undefined && !tokens.at('}')) tokens.unexpected(MATCHER_END);
  }
  return { matchers, range: { start: open.start, end: tokens.take().end } };
}

function parseMatcher(tokens: TokenStream): LabelMatcher {
  const label = tokens.takeIf('identifier') ?? tokens.takeIf('string') ?? tokens.unexpected(MATCHER_START);
  const name = label.kind === 'string' ? unquote(label.text) : label.text;
  const operator = takeMatchOperator(tokens);
  if (operator === undefined) {
    if (label.kind === 'identifier') tokens.unexpected(MATCHER_OPERATOR);
    // A string alone is the name of the metric.
    return { name: '__name__', operator: '=', value: name };
  }
  const literal = tokens.takeIf('string') ?? tokens.unexpected(MATCHER_VALUE);
  const value = unquote(literal.text);
  const complaint = operator === '=~' || operator === '!~' ? patternError(value) : undefined;
  if (complaint !== undefined) tokens.fail({ start: label.start, end: literal.end }, complaint);
  return { name, operator, value };
}

/** Why a text is no regular expression of RE2, in Prometheus' words; `undefined` when it is one. */
function patternError(pattern: string): string | undefined {
  try {
    regularExpression(pattern);
    return undefined;
  } catch (error) {
    // The package shows the flag that it was given as if it were part of the pattern.
    if (error instanceof TreasuryError) return error.message.replace(`\`(?s)${pattern}\``, () => `\`${pattern}\``);
    throw error;
  }
}

function takeMatchOperator(tokens: TokenStream): MatchOperator | undefined {
  const { kind } = tokens.peek();
  if (kind !== '=' && kind !== '!=' && kind !== '=~' && kind !== '!~') return undefined;
  tokens.take();
  return kind;
}

const GROUPING = 'grouping opts';
const GROUPING_START: ErrorContext = { name: GROUPING, expected: '"("' };
const GROUPING_LABEL: ErrorContext = { name: GROUPING, expected: 'label' };
const GROUPING_END: ErrorContext = { name: GROUPING, expected: '"," or ")"' };

/** The labels of `group_left` and `group_right`, which may be left out. */
export function parseOptionalGroupingLabels(tokens: TokenStream): string[] {
  if (tokens.at('(')) return parseGroupingLabels(tokens);
  if (!isExpressionAhead(tokens)) tokens.unexpected(GROUPING_START);
  return [];
}

/** `(a, "b.c")` behind `by`, `without`, `on`, `ignoring`, `group_left` and `group_right`. A comma may stand behind the last label. */
export function parseGroupingLabels(tokens: TokenStream): string[] {
  if (tokens.takeIf('(') === undefined) tokens.unexpected(GROUPING_START);
  const labels: string[] = [];
  while (!tokens.at(')')) {
    const { kind } = tokens.peek();
    const isLabel = kind === 'string' || LABEL_WORDS.has(kind) || (isMetricName(kind) && kind !== 'without');
    if (!isLabel) tokens.unexpected(GROUPING_LABEL);
    const token = tokens.take();
    const label = kind === 'string' ? unquote(token.text) : token.text;
    if (label === '' || !isUtf8(label)) tokens.fail(token, `invalid label name for grouping: ${quoteText(label)}`);
    labels.push(label);
    if (tokens.takeIf(',') === undefined && !tokens.at(')')) tokens.unexpected(GROUPING_END);
  }
  tokens.take();
  return labels;
}
