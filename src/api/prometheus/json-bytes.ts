/** Numbers and plain text as bytes of JSON. Each writes to `view` from `at` on, where there must be room, and returns where it ended. */
import { putShortest, SHORTEST_BELOW, SHORTEST_FROM, toShorten } from './shortest-digits.ts';
import { POINT, putSix, putTen, putThree, putWhole, WHOLE_BELOW, ZERO } from './whole-digits.ts';

/** The longest number with its quotes. */
export const NUMBER_BYTES_MAX = 40;

export const COMMA = 0x2c;
export const OPEN = 0x5b;
export const CLOSE = 0x5d;
const QUOTE = 0x22;
const MINUS = 0x2d;
const BACKSLASH = 0x5c;
const SPACE = 0x20;
const LAST_ASCII = 0x7e;

/** Text of ASCII as it is. */
export function putAscii(view: DataView, at: number, text: string): number {
  for (let index = 0; index < text.length; index++) view.setUint8(at + index, text.charCodeAt(index));
  return at + text.length;
}

/** A string that needs no escape; -1 when the text does. */
export function putPlainText(view: DataView, at: number, text: string): number {
  let end = at;
  view.setUint8(end++, QUOTE);
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code < SPACE || code > LAST_ASCII || code === QUOTE || code === BACKSLASH) return -1;
    view.setUint8(end++, code);
  }
  view.setUint8(end++, QUOTE);
  return end;
}

/** Milliseconds as seconds, with three digits behind the point or none. */
export function putTime(view: DataView, at: number, timeMs: number): number {
  if (!(timeMs >= USUAL_FROM_MS && timeMs < USUAL_BELOW_MS)) return putUnusualTime(view, at, timeMs);
  const seconds = Math.floor(timeMs / 1000);
  return putThousandths(view, putTen(view, at, seconds), (timeMs - 1000 * seconds) | 0);
}

/** A number in quotes, as Go writes it. */
export function putFloat(view: DataView, at: number, value: number): number {
  view.setUint8(at, QUOTE);
  let end = putUsual(view, at + 1, value);
  if (end === -1) end = putAscii(view, at + 1, floatText(value));
  view.setUint8(end, QUOTE);
  return end + 1;
}

/** Times of ten digits before the point: since 2001. */
const USUAL_FROM_MS = 1e12;
const USUAL_BELOW_MS = 1e13;

function putUnusualTime(view: DataView, at: number, timeMs: number): number {
  const size = Math.abs(Math.trunc(timeMs));
  let end = at;
  if (timeMs <= -1) view.setUint8(end++, MINUS);
  const seconds = Math.floor(size / 1000);
  end = seconds < WHOLE_BELOW ? putWhole(view, end, seconds) : putAscii(view, end, BigInt(seconds).toString());
  return putThousandths(view, end, size - 1000 * seconds);
}

function putThousandths(view: DataView, at: number, thousandths: number): number {
  if (thousandths === 0) return at;
  view.setUint8(at, POINT);
  return putThree(view, at + 1, thousandths);
}

/** Numbers of so few digits that no other number has them: what they were read from is what they are written as. */
const MILLION = 1e6;

/** -1 for a number that is not usual. */
function putUsual(view: DataView, at: number, value: number): number {
  const size = Math.abs(value);
  // Zero has a sign, and what is smaller or larger an exponent or no digits.
  if (!(size >= SHORTEST_FROM && size < SHORTEST_BELOW)) return -1;
  let end = at;
  if (value < 0) view.setUint8(end++, MINUS);
  if (size < WHOLE_BELOW && Math.floor(size) === size) return putWhole(view, end, size);
  const millionths = Math.round(size * MILLION);
  if (millionths < WHOLE_BELOW && millionths / MILLION === size) return putMillionths(view, end, millionths);
  toShorten[0] = size;
  return putShortest(view, end);
}

/** Some millionths that make no whole number. */
function putMillionths(view: DataView, at: number, millionths: number): number {
  const whole = Math.floor(millionths / MILLION);
  let end = putWhole(view, at, whole);
  view.setUint8(end, POINT);
  end = putSix(view, end + 1, (millionths - MILLION * whole) | 0);
  while (view.getUint8(end - 1) === ZERO) end--;
  return end;
}

/** Go and JavaScript take exponents from the same numbers on; Go's have two digits at least. */
function floatText(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf';
  if (value === 0) return Object.is(value, -0) ? '-0' : '0';
  const text = String(value);
  return text.at(-3) === 'e' ? `${text.slice(0, -1)}0${text.at(-1)}` : text;
}
