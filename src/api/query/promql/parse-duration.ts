import { LIMITS } from '../../../base/index.ts';
import type {
  DurationContext,
  DurationExpression,
  DurationMinMax,
  DurationOperand,
  DurationOperator,
  PositionRange,
} from './ast.ts';
import { isNumberAhead, parseNumberLiteral } from './parse-number.ts';
import type { ParseOptions } from './parse-options.ts';
import { binaryPrecedence, POWER_PRECEDENCE } from './precedence.ts';
import { depthError, type TokenStream } from './token-stream.ts';
import type { Token } from './tokens.ts';

/** A bound of upstream: what does not fit 64 bits of nanoseconds. */
const SECONDS_MAX = 2 ** 63 / 1e9;

/** Reads durations: a number of seconds, a duration, or arithmetic over both, `step()`, `range()`, `min_of` and `max_of`. */
export class DurationParser {
  readonly #tokens: TokenStream;
  readonly #options: ParseOptions;
  /** Each may make the tree one level deeper, without any nesting of the text. */
  #operators = 0;

  constructor(tokens: TokenStream, options: ParseOptions) {
    this.#tokens = tokens;
    this.#options = options;
  }

  /** A duration in brackets: arithmetic goes on as far as it may. */
  parse(precedenceMin = 1): DurationOperand {
    return this.#tokens.nested(() => {
      const sign = this.#takeSign();
      const left = sign === undefined ? this.#primary() : this.#signed(sign, this.parse(POWER_PRECEDENCE));
      return this.#binary(left, precedenceMin);
    });
  }

  /**
   * A duration behind `offset`. It ends behind its first operand, so that `x offset 5m * 2` doubles `x`; only behind one that begins with a
   * parenthesis or two signs arithmetic goes on. That is how upstream's grammar resolves its conflicts.
   */
  parseOffset(): DurationOperand {
    if (this.#tokens.at('(')) return this.parse();
    const sign = this.#takeSign();
    if (sign === undefined) return this.#primary();
    if (this.#tokens.at('+') || this.#tokens.at('-')) {
      return this.#binary(this.#signed(sign, this.parse(POWER_PRECEDENCE)), 1);
    }
    const { kind } = this.#tokens.peek();
    // Upstream asks for no switch here.
    if (kind === '(') return this.#signed(sign, this.#parenthesized());
    if (kind !== 'step' && kind !== 'range' && kind !== 'min_of' && kind !== 'max_of') {
      return this.#signed(sign, this.#primary());
    }
    const operand = this.#keyword(kind, false);
    const range = { start: sign.start, end: operand.range.end };
    this.#requireEnabled(range);
    return { kind: 'duration', operation: 'unary', operator: signOf(sign), operand, range, isWrapped: false };
  }

  #takeSign(): Token | undefined {
    return this.#tokens.takeIf('+') ?? this.#tokens.takeIf('-');
  }

  #binary(first: DurationOperand, precedenceMin: number): DurationOperand {
    let left = first;
    for (;;) {
      const found = binaryPrecedence(this.#tokens.peek().kind);
      if (found === undefined || !isDurationOperator(found.operator) || found.precedence < precedenceMin) return left;
      const { operator, precedence } = found;
      const token = this.#tokens.take();
      this.#operators += 1;
      if (this.#operators > LIMITS.promqlDepthMax) this.#tokens.fail(token, depthError(LIMITS.promqlDepthMax));
      const right = this.parse(precedence === POWER_PRECEDENCE ? precedence : precedence + 1);
      this.#requireEnabled(left.range);
      if ((operator === '/' || operator === '%') && right.kind === 'number' && right.value === 0) {
        this.#tokens.fail(token, operator === '/' ? 'division by zero' : 'modulo by zero');
      }
      const range = { start: left.range.start, end: right.range.end };
      left = { kind: 'duration', operation: 'binary', operator, left, right, range, isWrapped: false };
    }
  }

  #primary(): DurationOperand {
    const tokens = this.#tokens;
    if (isNumberAhead(tokens)) {
      const literal = parseNumberLiteral(tokens);
      if (isOutOfRange(literal.value)) tokens.fail(literal.range, 'duration out of range');
      return literal;
    }
    const { kind } = tokens.peek();
    if (kind === 'step' || kind === 'range' || kind === 'min_of' || kind === 'max_of') return this.#keyword(kind, true);
    if (kind !== '(') tokens.unexpected();
    const expression = this.#parenthesized();
    this.#requireEnabled(expression.operation === 'unary' ? expression.operand.range : expression.range);
    return expression;
  }

  #parenthesized(): DurationExpression {
    const open = this.#tokens.take();
    const inner = this.parse();
    const close = this.#tokens.expect(')');
    return wrapped(inner, { start: open.start, end: close.end });
  }

  /** `step()`, `range()`, `min_of(a, b)` or `max_of(a, b)`. */
  #keyword(kind: 'step' | 'range' | 'min_of' | 'max_of', isChecked: boolean): DurationContext | DurationMinMax {
    const tokens = this.#tokens;
    const { start } = tokens.take();
    tokens.expect('(');
    if (kind === 'step' || kind === 'range') {
      const range = { start, end: tokens.expect(')').end };
      if (isChecked) this.#requireEnabled(range);
      return { kind: 'duration', operation: kind, range, isWrapped: false };
    }
    const left = this.parse();
    tokens.expect(',');
    const right = this.parse();
    const { end } = tokens.expect(')');
    if (isChecked) this.#requireEnabled(left.range);
    return { kind: 'duration', operation: kind, left, right, range: { start, end }, isWrapped: false };
  }

  #signed(sign: Token, operand: DurationOperand): DurationOperand {
    const range = { start: sign.start, end: operand.range.end };
    if (operand.kind !== 'number') {
      if (sign.kind === '+') return operand;
      return { kind: 'duration', operation: 'unary', operator: '-', operand, range, isWrapped: false };
    }
    const value = sign.kind === '-' ? -operand.value : operand.value;
    if (isOutOfRange(value)) this.#tokens.fail(sign, 'duration out of range');
    return { ...operand, range, value };
  }

  #requireEnabled(range: PositionRange): void {
    if (!this.#options.durationExpressions) {
      this.#tokens.fail(range, 'experimental duration expression is not enabled');
    }
  }
}

function signOf(sign: Token): '+' | '-' {
  return sign.kind === '-' ? '-' : '+';
}

/** Numbers cannot say that they stand in parentheses, so one becomes a sum of itself. */
function wrapped(inner: DurationOperand, range: PositionRange): DurationExpression {
  if (inner.kind === 'duration') return { ...inner, isWrapped: true };
  return { kind: 'duration', operation: 'unary', operator: '+', operand: inner, range, isWrapped: true };
}

function isOutOfRange(seconds: number): boolean {
  return Math.abs(seconds) > SECONDS_MAX;
}

function isDurationOperator(operator: string): operator is DurationOperator {
  return '+-*/%^'.includes(operator);
}
