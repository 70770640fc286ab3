/**
 * A number as JSON writes it, read without loss: 64-bit integers from their digits (`1e3` and `5.0` are integers too), doubles to the
 * nearest. One object serves all numbers of a text.
 */
import { isDigit } from './json-text.ts';

const MINUS = 0x2d;
const PLUS = 0x2b;
const DOT = 0x2e;
const ZERO = 0x30;
const LOWER_E = 0x65;
const UPPER_E = 0x45;

const WORD = 2 ** 32;
/** More digits than any text has: where an exponent stops growing, so that sums with it stay exact. */
const EXPONENT_MAX = 1e12;
/** Integers of so many digits, and powers of ten up to this one, are exact doubles: one division or product rounds correctly. */
const EXACT_DIGITS_MAX = 15;
const EXACT_POWER_MAX = 22;
const powersOfTen = Array.from({ length: EXACT_POWER_MAX + 1 }, (_, power) => Number(`1e${power}`));

export class JsonNumber {
  /** Of the last `scan`. */
  isNegative = false;
  /** The magnitude that the last `readInteger` found: `high * 2^32 + low`. */
  high = 0;
  low = 0;
  #text: Buffer = Buffer.alloc(0);
  #start = 0;
  #end = 0;
  #digitsStart = 0;
  #digitsEnd = 0;
  #fractionStart = 0;
  #fractionEnd = 0;
  #exponent = 0;

  /** Takes a text; false when it is not, as a whole, a number of JSON. */
  scan(text: Buffer, start: number, end: number): boolean {
    this.#text = text;
    this.#start = start;
    this.#end = end;
    let at = start;
    this.isNegative = at < end && text[at] === MINUS;
    if (this.isNegative) at++;
    this.#digitsStart = at;
    if (at < end && text[at] === ZERO) at++;
    else at = this.#skipDigits(at);
    this.#digitsEnd = at;
    if (at === this.#digitsStart) return false;
    this.#fractionStart = this.#fractionEnd = at;
    if (at < end && text[at] === DOT) {
      this.#fractionStart = at + 1;
      at = this.#fractionEnd = this.#skipDigits(at + 1);
      if (at === this.#fractionStart) return false;
    }
    this.#exponent = 0;
    if (at < end && (text[at] === LOWER_E || text[at] === UPPER_E)) at = this.#scanExponent(at + 1);
    return at === end;
  }

  /** Reads the scanned number to `high` and `low`; false when it has a fraction or more than 64 bits. */
  readInteger(): boolean {
    this.high = 0;
    this.low = 0;
    const digits = this.#digitsEnd - this.#digitsStart;
    let whole = digits + this.#exponent;
    if (!this.#addDigits(this.#digitsStart, this.#digitsEnd, whole)) return false;
    whole -= digits;
    if (!this.#addDigits(this.#fractionStart, this.#fractionEnd, whole)) return false;
    whole -= this.#fractionEnd - this.#fractionStart;
    for (; whole > 0 && (this.high !== 0 || this.low !== 0); whole--) {
      if (!this.#addDigit(0)) return false;
    }
    return true;
  }

  /** Makes `high` and `low` the two's complement of 64 bits when the number is negative. */
  complement(): void {
    if (!this.isNegative) return;
    this.low = -this.low >>> 0;
    this.high = (~this.high + (this.low === 0 ? 1 : 0)) >>> 0;
  }

  /** The scanned number as a double: infinite when it is out of range. */
  readDouble(): number {
    const digits = this.#digitsEnd - this.#digitsStart;
    const fractionDigits = this.#fractionEnd - this.#fractionStart;
    const power = this.#exponent - fractionDigits;
    if (digits + fractionDigits > EXACT_DIGITS_MAX || Math.abs(power) > EXACT_POWER_MAX) {
      return Number(this.#text.toString('latin1', this.#start, this.#end));
    }
    let value = 0;
    for (let at = this.#digitsStart; at < this.#digitsEnd; at++) value = value * 10 + this.#text[at]! - ZERO;
    for (let at = this.#fractionStart; at < this.#fractionEnd; at++) value = value * 10 + this.#text[at]! - ZERO;
    value = power < 0 ? value / powersOfTen[-power]! : value * powersOfTen[power]!;
    return this.isNegative ? -value : value;
  }

  /** Digits to the number, the first `whole` of them; the others stand behind the decimal point and must be 0. */
  #addDigits(start: number, end: number, whole: number): boolean {
    for (let at = start; at < end; at++) {
      const digit = this.#text[at]! - ZERO;
      if (at - start < whole) {
        if (!this.#addDigit(digit)) return false;
      } else if (digit !== 0) {
        return false;
      }
    }
    return true;
  }

  #addDigit(digit: number): boolean {
    const low = this.low * 10 + digit;
    const carry = Math.floor(low / WORD);
    this.low = low - carry * WORD;
    this.high = this.high * 10 + carry;
    return this.high < WORD;
  }

  #skipDigits(start: number): number {
    const text = this.#text;
    let at = start;
    while (at < this.#end && isDigit(text[at]!)) at++;
    return at;
  }

  #scanExponent(start: number): number {
    const text = this.#text;
    let at = start;
    const isNegative = at < this.#end && text[at] === MINUS;
    if (isNegative || (at < this.#end && text[at] === PLUS)) at++;
    const end = this.#skipDigits(at);
    // Without digits this is no number: ending before the sign makes `scan` see it.
    if (end === at) return start - 1;
    let exponent = 0;
    for (; at < end; at++) exponent = Math.min(EXPONENT_MAX, exponent * 10 + text[at]! - ZERO);
    this.#exponent = isNegative ? -exponent : exponent;
    return end;
  }
}
