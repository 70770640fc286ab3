import { LIMITS } from '../../../base/index.ts';
import { isSpace } from './characters.ts';
import { parseNumber } from './numbers.ts';
import { PromqlParseError } from './parse-error.ts';
import { quoteCharacter } from './quote.ts';
import { scanNumber, TextCursor } from './text-cursor.ts';

/** Reads the values of a series description piece by piece. Here spaces part values and nothing else, and words and numbers end at an `x`. */
export class SeriesReader {
  readonly #cursor: TextCursor;

  constructor(text: string, position: number) {
    this.#cursor = new TextCursor(text, position);
  }

  atEnd(): boolean {
    return this.#cursor.atEnd();
  }

  isAt(text: string): boolean {
    return this.#cursor.text.startsWith(text, this.#cursor.position);
  }

  isAtSign(): boolean {
    return this.isAt('+') || this.isAt('-');
  }

  skip(): void {
    this.#cursor.next();
  }

  takeText(text: string): boolean {
    if (!this.isAt(text)) return false;
    this.#cursor.position += text.length;
    return true;
  }

  /** What a sticky pattern matches here. */
  takeMatch(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#cursor.position;
    const found = pattern.exec(this.#cursor.text)?.[0];
    this.#cursor.position += found?.length ?? 0;
    return found;
  }

  /** Takes spaces, if there are any. */
  takeSpace(): boolean {
    const before = this.#cursor.position;
    this.#cursor.acceptWhile(isSpace);
    return this.#cursor.position > before;
  }

  expectSpace(): void {
    if (!this.takeSpace()) this.unexpected();
  }

  /** A number with or without a sign, or `stale`. */
  readValue(): { isStale: boolean; value: number } {
    if (this.isAtSign()) return { isStale: false, value: this.readSignedNumber() };
    if (this.takeMatch(/stale(?![A-Za-z0-9_:])/y) !== undefined) return { isStale: true, value: Number.NaN };
    return { isStale: false, value: this.readNumber() };
  }

  readSignedNumber(): number {
    const sign = this.takeText('-') ? -1 : 1;
    if (sign === 1) this.takeText('+');
    return sign * this.readNumber();
  }

  /** A number without a sign; `Inf` and `NaN` are words, so no `x` may follow them without a space. */
  readNumber(): number {
    const word = this.takeMatch(/(?:inf|nan)(?![A-Za-z0-9_:])/iy);
    if (word !== undefined) return word.toLowerCase() === 'nan' ? Number.NaN : Number.POSITIVE_INFINITY;
    const start = this.#cursor.position;
    if (!/[0-9]/.test(this.#cursor.text.slice(start).replace(/^\./, '').charAt(0)))
      this.unexpected('number or "stale"');
    if (!scanNumber(this.#cursor, { isSeries: true })) {
      this.fail(`bad number syntax: ${JSON.stringify(this.#cursor.text.slice(start, this.#cursor.position))}`);
    }
    const parsed = parseNumber(this.#cursor.text.slice(start, this.#cursor.position));
    if ('error' in parsed) this.fail(parsed.error);
    return parsed.value;
  }

  /** How often something is repeated. */
  readCount(): number {
    const count = Number(this.takeMatch(/\d+(?![\w.])/y) ?? this.unexpected('repetition'));
    if (count > LIMITS.promqlSeriesValuesMax) {
      this.fail(`invalid repetition in series values: ${count} is more than ${LIMITS.promqlSeriesValuesMax}`);
    }
    return count;
  }

  unexpected(expected?: string): never {
    const what = this.atEnd() ? 'end of input' : `character ${quoteCharacter(this.#cursor.peek())}`;
    this.fail(`unexpected ${what} in series values${expected === undefined ? '' : `, expected ${expected}`}`);
  }

  fail(reason: string): never {
    const { text, position } = this.#cursor;
    throw new PromqlParseError(text, { start: position, end: text.length }, reason);
  }
}
