/** Numbers and plain text as bytes of JSON. Each writes to `bytes` from `at` on, where there must be room, and returns where it ended. */

/** The longest number with its quotes. */
export const NUMBER_BYTES_MAX = 40;

export const COMMA = 0x2c;
export const OPEN = 0x5b;
export const CLOSE = 0x5d;
const QUOTE = 0x22;
const MINUS = 0x2d;
const POINT = 0x2e;
const ZERO = 0x30;
const BACKSLASH = 0x5c;
const SPACE = 0x20;
const LAST_ASCII = 0x7e;

/** Text of ASCII as it is. */
export function putAscii(bytes: Uint8Array, at: number, text: string): number {
  for (let index = 0; index < text.length; index++) bytes[at + index] = text.charCodeAt(index);
  return at + text.length;
}

/** A string that needs no escape; -1 when the text does. */
export function putPlainText(bytes: Uint8Array, at: number, text: string): number {
  let end = at;
  bytes[end++] = QUOTE;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code < SPACE || code > LAST_ASCII || code === QUOTE || code === BACKSLASH) return -1;
    bytes[end++] = code;
  }
  bytes[end++] = QUOTE;
  return end;
}

/** Milliseconds as seconds, with three digits behind the point or none. */
export function putTime(bytes: Uint8Array, at: number, timeMs: number): number {
  let rest = Math.trunc(timeMs);
  let end = at;
  if (rest < 0) {
    bytes[end++] = MINUS;
    rest = -rest;
  }
  const seconds = Math.floor(rest / 1000);
  const fraction = rest % 1000;
  if (seconds < WHOLE_MAX) end = putWhole(bytes, end, seconds);
  else end = putAscii(bytes, end, BigInt(seconds).toString());
  if (fraction === 0) return end;
  bytes[end] = POINT;
  putDigits(bytes, end + 1, fraction, 3);
  return end + 4;
}

/** A number in quotes, as Go writes it. */
export function putFloat(bytes: Uint8Array, at: number, value: number): number {
  bytes[at] = QUOTE;
  let end = putShort(bytes, at + 1, value);
  if (end === -1) end = putAscii(bytes, at + 1, floatText(value));
  bytes[end] = QUOTE;
  return end + 1;
}

/** Numbers of so few digits that no other number has them: what they were read from is what they are written as. */
const WHOLE_MAX = 1e15;
const FEW_DIGITS = 6;
const MORE_DIGITS = 9;

/** A number with few digits; -1 for others. */
function putShort(bytes: Uint8Array, at: number, value: number): number {
  const size = Math.abs(value);
  if (size >= 1 && size < WHOLE_MAX && Math.floor(size) === size) {
    if (value > 0) return putWhole(bytes, at, size);
    bytes[at] = MINUS;
    return putWhole(bytes, at + 1, size);
  }
  const end = putFraction(bytes, at, value, FEW_DIGITS);
  return end === -1 ? putFraction(bytes, at, value, MORE_DIGITS) : end;
}

/** A number with at most so many digits behind the point; -1 for others. */
function putFraction(bytes: Uint8Array, at: number, value: number, digitsMax: number): number {
  const size = Math.abs(value);
  const unit = digitsMax === FEW_DIGITS ? 1e6 : 1e9;
  const scaled = Math.round(size * unit);
  // Zero has a sign, smaller ones an exponent, and what is not finite has no digits.
  if (!(size >= LEAST_PLAIN && scaled < WHOLE_MAX) || scaled / unit !== size) return -1;
  let end = at;
  if (value < 0) bytes[end++] = MINUS;
  const whole = Math.floor(scaled / unit);
  end = putWhole(bytes, end, whole);
  let fraction = scaled - whole * unit;
  if (fraction === 0) return end;
  let digits = digitsMax;
  for (; fraction % 10 === 0; fraction /= 10) digits--;
  bytes[end] = POINT;
  putDigits(bytes, end + 1, fraction, digits);
  return end + 1 + digits;
}

/** Numbers below are written with an exponent. */
const LEAST_PLAIN = 1e-6;

const LOW_DIGITS = 9;
const LOW = 10 ** LOW_DIGITS;

/** A whole number that is not negative and below 10^15: in halves, as divisions of 32 bits are fast. */
function putWhole(bytes: Uint8Array, at: number, whole: number): number {
  if (whole < LOW) {
    const digits = digitsOf(whole);
    putDigits(bytes, at, whole, digits);
    return at + digits;
  }
  const high = Math.floor(whole / LOW);
  const digits = digitsOf(high);
  putDigits(bytes, at, high, digits);
  putDigits(bytes, at + digits, whole - high * LOW, LOW_DIGITS);
  return at + digits + LOW_DIGITS;
}

function digitsOf(whole: number): number {
  let digits = 1;
  for (let limit = 10; whole >= limit; limit *= 10) digits++;
  return digits;
}

/** The last digits of a number below 2^31, zeros before them. */
function putDigits(bytes: Uint8Array, at: number, whole: number, digits: number): void {
  let rest = whole | 0;
  for (let place = at + digits - 1; place >= at; place--) {
    const tenth = (rest / 10) | 0;
    bytes[place] = ZERO + rest - 10 * tenth;
    rest = tenth;
  }
}

/** Go and JavaScript take exponents from the same numbers on; Go's have two digits at least. */
function floatText(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf';
  if (value === 0) return Object.is(value, -0) ? '-0' : '0';
  const text = String(value);
  return text.at(-3) === 'e' ? `${text.slice(0, -1)}0${text.at(-1)}` : text;
}
