import { LIMITS } from '../../../base/index.ts';
import type { PositionRange } from './ast.ts';
import { Lexer } from './lexer.ts';
import { PromqlParseError } from './parse-error.ts';
import { describeToken, type Token, type TokenKind } from './tokens.ts';

/**
 * Tokens as the parser takes them: one ahead at most, read no sooner than asked for, comments left out. It knows what is being read, so that
 * what does not fit is told as Prometheus tells it (`unexpected ")" in offset, expected number, ...`).
 */
export class TokenStream {
  readonly text: string;
  readonly #lexer: Lexer;
  readonly #contexts: ErrorContext[] = [];
  #ahead: Token | undefined;
  #depth = 0;
  #lastEnd = 0;

  constructor(text: string) {
    this.text = text;
    this.#lexer = new Lexer(text);
  }

  /** Where the last token taken ends. */
  get lastEnd(): number {
    return this.#lastEnd;
  }

  peek(): Token {
    while (this.#ahead === undefined) {
      const token = this.#lexer.next();
      if (token.kind === 'error') this.fail(token, token.text);
      if (token.kind !== 'comment') this.#ahead = token;
    }
    return this.#ahead;
  }

  at(kind: TokenKind): boolean {
    return this.peek().kind === kind;
  }

  take(): Token {
    const token = this.peek();
    this.#ahead = undefined;
    this.#lastEnd = token.end;
    return token;
  }

  /** Takes the next token when it is of this kind. */
  takeIf(kind: TokenKind): Token | undefined {
    return this.at(kind) ? this.take() : undefined;
  }

  /** Takes the next token, which has to be of this kind. */
  expect(kind: TokenKind): Token {
    return this.takeIf(kind) ?? this.unexpected();
  }

  /** Reads a part whose misfits are told as of `context`; the innermost part wins. */
  within<Result>(context: ErrorContext, read: () => Result): Result {
    this.#contexts.push(context);
    const result = read();
    this.#contexts.pop();
    return result;
  }

  /** Reads something that may hold itself. */
  nested<Result>(read: () => Result): Result {
    this.#depth += 1;
    if (this.#depth > LIMITS.promqlDepthMax) this.fail(this.peek(), depthError(LIMITS.promqlDepthMax));
    const result = read();
    this.#depth -= 1;
    return result;
  }

  /** Refuses the token ahead; without a context of its own, as of the part that is being read. */
  unexpected(context: ErrorContext | undefined = this.#contexts.at(-1)): never {
    const token = this.peek();
    const where = context === undefined ? '' : ` in ${context.name}`;
    const expected = context?.expected === undefined ? '' : `, expected ${context.expected}`;
    this.fail(token, `unexpected ${describeToken(token)}${where}${expected}`);
  }

  fail(range: PositionRange, reason: string): never {
    throw new PromqlParseError(this.text, { start: range.start, end: range.end }, reason);
  }
}

/** What is being read, and what could stand there. */
export interface ErrorContext {
  readonly name: string;
  readonly expected?: string;
}

/** Why a tree that is too deep is refused. */
export function depthError(levels: number): string {
  return `expression is nested deeper than ${levels} levels`;
}
