import type {
  DurationExpression,
  DurationOperand,
  Expression,
  MatrixSelector,
  PositionRange,
  Preprocessor,
  SubqueryExpression,
  TimeModifiers,
  VectorSelector,
} from './ast.ts';
import { DurationParser } from './parse-duration.ts';
import { formatFloat } from './format-float.ts';
import { parseSignedNumber } from './parse-number.ts';
import type { ParseOptions } from './parse-options.ts';
import { type ErrorContext, type TokenStream } from './token-stream.ts';
import type { Token } from './tokens.ts';

/** What may stand behind an operand, any number of times: `[range]`, `[range:step]`, `offset`, `@`, `anchored`, `smoothed`. */
export function parsePostfix(tokens: TokenStream, options: ParseOptions, operand: Expression): Expression {
  const parser = new PostfixParser(tokens, options);
  let expression = operand;
  for (;;) {
    switch (tokens.peek().kind) {
      case '[':
        expression = parser.brackets(expression);
        break;
      case 'offset':
        expression = parser.offset(expression);
        break;
      case '@':
        expression = parser.at(expression);
        break;
      case 'anchored':
        expression = parser.extend(expression, 'anchored');
        break;
      case 'smoothed':
        expression = parser.extend(expression, 'smoothed');
        break;
      default:
        return expression;
    }
  }
}

const EXPECTED_DURATION = 'number, duration, step(), or range()';
const BRACKET: ErrorContext = { name: 'subquery or range selector', expected: EXPECTED_DURATION };
const BRACKET_END: ErrorContext = { name: 'subquery or range', expected: '":" or "]"' };
const STEP: ErrorContext = { name: 'subquery selector', expected: `number, duration, step(), range(), or "]"` };
const STEP_END: ErrorContext = { name: 'subquery selector', expected: '"]"' };
const OFFSET: ErrorContext = { name: 'offset', expected: EXPECTED_DURATION };
const AT: ErrorContext = { name: '@', expected: 'timestamp' };

/** A time in ms, or the expression that gives it. */
interface Duration {
  readonly ms: number;
  readonly expression: DurationExpression | undefined;
}

/** Where offsets and `@` go: a selector, the one in a range selector, or a subquery. */
type Timed = VectorSelector | MatrixSelector | SubqueryExpression;

class PostfixParser {
  readonly #tokens: TokenStream;
  readonly #options: ParseOptions;
  readonly #durations: DurationParser;
  /** An offset of less than a millisecond was given; the tree cannot tell it from none. */
  #hasTinyOffset = false;

  constructor(tokens: TokenStream, options: ParseOptions) {
    this.#tokens = tokens;
    this.#options = options;
    this.#durations = new DurationParser(tokens, options);
  }

  brackets(expression: Expression): MatrixSelector | SubqueryExpression {
    const tokens = this.#tokens;
    const open = tokens.take();
    const range = tokens.within(BRACKET, () => this.#positiveDuration());
    if (tokens.takeIf(':') !== undefined) return this.#subquery(expression, range);
    const close = tokens.takeIf(']') ?? tokens.unexpected(BRACKET_END);
    if (expression.kind !== 'vector-selector')
      return this.#badRange(open, close, 'ranges only allowed for vector selectors');
    if (this.#hasOffset(expression)) return this.#badRange(open, close, 'no offset modifiers allowed before range');
    if (hasTimestamp(expression)) return this.#badRange(open, close, 'no @ modifiers allowed before range');
    return {
      kind: 'matrix-selector',
      range: { start: expression.range.start, end: close.end },
      selector: expression,
      rangeMs: range.ms,
      rangeExpression: range.expression,
    };
  }

  /** `[range:` is behind. */
  #subquery(expression: Expression, range: Duration): SubqueryExpression {
    const tokens = this.#tokens;
    this.#hasTinyOffset = false;
    let step: Duration = { ms: 0, expression: undefined };
    let close = tokens.takeIf(']');
    if (close === undefined) {
      step = tokens.within(STEP, () => this.#positiveDuration());
      close = tokens.takeIf(']') ?? tokens.unexpected(STEP_END);
    }
    return {
      kind: 'subquery',
      range: { start: expression.range.start, end: close.end },
      expression,
      rangeMs: range.ms,
      rangeExpression: range.expression,
      stepMs: step.ms,
      stepExpression: step.expression,
      offsetMs: 0,
      offsetExpression: undefined,
      timestampMs: undefined,
      startOrEnd: undefined,
    };
  }

  #badRange(open: Token, close: Token, reason: string): never {
    this.#tokens.fail({ start: open.start, end: close.end }, reason);
  }

  #positiveDuration(): Duration {
    const operand = this.#durations.parse();
    if (operand.kind === 'number' && !(operand.value > 0)) {
      this.#tokens.fail(operand.range, 'duration must be greater than 0');
    }
    return durationOf(operand);
  }

  offset(expression: Expression): Expression {
    const tokens = this.#tokens;
    tokens.take();
    const operand = tokens.within(OFFSET, () => this.#durations.parseOffset());
    const timed = this.#timed(expression, 'offset modifier');
    if (this.#hasOffset(selectorIn(timed))) tokens.fail(expression.range, 'offset may not be set multiple times');
    const { ms, expression: offsetExpression } = durationOf(operand);
    this.#hasTinyOffset = operand.kind === 'number' && ms === 0 && nanoseconds(operand.value) !== 0;
    return withTime(timed, { offsetMs: ms, offsetExpression }, tokens.lastEnd);
  }

  at(expression: Expression): Expression {
    const tokens = this.#tokens;
    tokens.take();
    const word = tokens.takeIf('start') ?? tokens.takeIf('end');
    let change: Pick<TimeModifiers, 'timestampMs' | 'startOrEnd'>;
    if (word === undefined) {
      const literal = parseSignedNumber(tokens) ?? tokens.unexpected(AT);
      change = { timestampMs: this.#timestampMs(expression.range, literal.value), startOrEnd: undefined };
    } else {
      if (tokens.takeIf('(') === undefined || tokens.takeIf(')') === undefined) tokens.unexpected(AT);
      const startOrEnd: Preprocessor = word.kind === 'start' ? 'start' : 'end';
      change = { timestampMs: undefined, startOrEnd };
    }
    const timed = this.#timed(expression, '@ modifier');
    if (hasTimestamp(selectorIn(timed))) tokens.fail(expression.range, '@ <timestamp> may not be set multiple times');
    return withTime(timed, change, tokens.lastEnd);
  }

  #timestampMs(range: PositionRange, seconds: number): number {
    if (!Number.isFinite(seconds) || Math.abs(seconds) >= 2 ** 63) {
      const shown = Number.isFinite(seconds) ? `${BigInt(seconds)}.000000` : formatFloat(seconds);
      this.#tokens.fail(range, `timestamp out of bounds for @ modifier: ${shown}`);
    }
    return roundHalfAway(seconds * 1000);
  }

  /** `anchored` or `smoothed`. The range of the selector does not grow by it, as upstream. */
  extend(expression: Expression, modifier: 'anchored' | 'smoothed'): Expression {
    const tokens = this.#tokens;
    tokens.take();
    if (!this.#options.extendedRangeSelectors) {
      tokens.fail(expression.range, `${modifier} modifier is experimental and not enabled`);
    }
    if (expression.kind === 'subquery') {
      tokens.fail(expression.range, `${modifier} modifier is not supported for subqueries`);
    }
    if (expression.kind !== 'vector-selector' && expression.kind !== 'matrix-selector') {
      return tokens.fail(expression.range, `${modifier} modifier not implemented`);
    }
    const selector = expression.kind === 'matrix-selector' ? expression.selector : expression;
    if (modifier === 'anchored' ? selector.smoothed : selector.anchored) {
      tokens.fail(expression.range, 'anchored and smoothed modifiers cannot be used together');
    }
    const extended = { ...selector, [modifier]: true };
    return expression.kind === 'matrix-selector' ? { ...expression, selector: extended } : extended;
  }

  #timed(expression: Expression, modifier: string): Timed {
    const { kind } = expression;
    if (kind === 'vector-selector' || kind === 'matrix-selector' || kind === 'subquery') return expression;
    this.#tokens.fail(
      expression.range,
      `${modifier} must be preceded by an instant vector selector or range vector selector or a subquery`,
    );
  }

  #hasOffset(modifiers: TimeModifiers): boolean {
    return modifiers.offsetMs !== 0 || modifiers.offsetExpression !== undefined || this.#hasTinyOffset;
  }
}

function hasTimestamp(modifiers: TimeModifiers): boolean {
  return modifiers.timestampMs !== undefined || modifiers.startOrEnd !== undefined;
}

function selectorIn(timed: Timed): TimeModifiers {
  return timed.kind === 'matrix-selector' ? timed.selector : timed;
}

/** The modifiers of a range selector go into its selector, whose own range stays as it is. */
function withTime(timed: Timed, change: Partial<TimeModifiers>, end: number): Timed {
  const range = { start: timed.range.start, end };
  if (timed.kind === 'matrix-selector') return { ...timed, range, selector: { ...timed.selector, ...change } };
  return { ...timed, ...change, range };
}

function durationOf(operand: DurationOperand): Duration {
  if (operand.kind !== 'number') return { ms: 0, expression: operand };
  return { ms: Math.trunc(nanoseconds(operand.value) / 1e6), expression: undefined };
}

function nanoseconds(seconds: number): number {
  return roundHalfAway(seconds * 1e9);
}

/** Go's rounding; `Math.round` takes halves upwards. */
function roundHalfAway(value: number): number {
  return Math.sign(value) * Math.round(Math.abs(value));
}
