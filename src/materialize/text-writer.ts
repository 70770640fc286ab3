/**
 * Numbers and bytes as ASCII text, written into a buffer without making a JavaScript string where that is possible: attribute
 * values that are not strings are stored in this form, millions of them.
 * Every function writes at `at`, trusts the caller for room (32 bytes for numbers) and returns the position behind the text.
 */
const ZERO = 0x30;
const MINUS = 0x2d;
const POINT = 0x2e;
const TWO_32 = 4294967296;
const BILLION = 1_000_000_000;
/** Any decimal of at most 15 digits is told apart from its neighbours by a double, so it is the shortest form of that double. */
const DIGITS_EXACT_MAX = 1e15;
const POWERS = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000];
const ALPHABET = Uint8Array.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/', (digit) =>
  digit.charCodeAt(0),
);
const PADDING = 0x3d;

/** The signed 64-bit integer `high * 2^32 + low`, halves as signed 32-bit integers. */
export function writeInt64(target: Uint8Array, at: number, low: number, high: number): number {
  if (high === low >> 31) return writeInteger(target, at, low);
  let top = high >>> 0;
  let bottom = low >>> 0;
  let next = at;
  if (high < 0) {
    target[next++] = MINUS;
    bottom = (~low + 1) >>> 0;
    top = (bottom === 0 ? ~high + 1 : ~high) >>> 0;
  }
  if (top < 0x200000) return writeInteger(target, next, top * TWO_32 + bottom);
  // Long division by 10^9 in 16-bit limbs keeps every step below 2^53.
  let rest = 0;
  const step = (limb: number): number => {
    const value = rest * 65536 + limb;
    rest = value % BILLION;
    return Math.floor(value / BILLION);
  };
  const limbs = [step(top >>> 16), step(top & 0xffff), step(bottom >>> 16), step(bottom & 0xffff)];
  const quotient = ((limbs[0]! * 65536 + limbs[1]!) * 65536 + limbs[2]!) * 65536 + limbs[3]!;
  next = writeInteger(target, next, quotient);
  return writeDigits(target, next, rest, 9);
}

/**
 * A double in the shortest form that reads back as the same value, written as JSON.stringify writes it; -0 keeps its sign, and
 * what JSON cannot write is NaN, Infinity or -Infinity.
 */
export function writeDouble(target: Uint8Array, at: number, value: number): number {
  const magnitude = Math.abs(value);
  if (magnitude < DIGITS_EXACT_MAX) {
    if (Math.trunc(value) === value) {
      if (value !== 0 || 1 / value > 0) return writeInteger(target, at, value);
    } else if (magnitude >= 1e-6) {
      for (let places = 1; places < POWERS.length; places++) {
        const power = POWERS[places]!;
        const digits = Math.round(magnitude * power);
        if (digits >= DIGITS_EXACT_MAX) break;
        if (digits / power === magnitude) return writeDecimal(target, at, value < 0, digits, places);
      }
    }
  }
  return writeAscii(target, at, Object.is(value, -0) ? '-0' : String(value));
}

/** `source[start .. end)` in base64 with padding (RFC 4648 section 4). Needs `4 * ceil(length / 3)` bytes of room. */
export function writeBase64(target: Uint8Array, at: number, source: Uint8Array, start: number, end: number): number {
  let next = at;
  let from = start;
  for (; from + 3 <= end; from += 3) {
    const bits = (source[from]! << 16) | (source[from + 1]! << 8) | source[from + 2]!;
    target[next++] = ALPHABET[bits >> 18]!;
    target[next++] = ALPHABET[(bits >> 12) & 63]!;
    target[next++] = ALPHABET[(bits >> 6) & 63]!;
    target[next++] = ALPHABET[bits & 63]!;
  }
  const left = end - from;
  if (left === 0) return next;
  const bits = (source[from]! << 16) | (left === 2 ? source[from + 1]! << 8 : 0);
  target[next++] = ALPHABET[bits >> 18]!;
  target[next++] = ALPHABET[(bits >> 12) & 63]!;
  target[next++] = left === 2 ? ALPHABET[(bits >> 6) & 63]! : PADDING;
  target[next++] = PADDING;
  return next;
}

/** An integer between -2^53 and 2^53. */
function writeInteger(target: Uint8Array, at: number, value: number): number {
  let next = at;
  let rest = value;
  if (rest < 0) {
    target[next++] = MINUS;
    rest = -rest;
  }
  if (rest < BILLION) return writeDigits(target, next, rest, digitCount(rest));
  const top = Math.floor(rest / BILLION);
  next = writeDigits(target, next, top, digitCount(top));
  return writeDigits(target, next, rest - top * BILLION, 9);
}

function writeDecimal(target: Uint8Array, at: number, isNegative: boolean, digits: number, places: number): number {
  const power = POWERS[places]!;
  const whole = Math.floor(digits / power);
  let next = at;
  if (isNegative) target[next++] = MINUS;
  next = writeInteger(target, next, whole);
  target[next++] = POINT;
  return writeDigits(target, next, digits - whole * power, places);
}

/** The last `count` digits of a number below 10^9 (10 digits at most), zeros in front. */
function writeDigits(target: Uint8Array, at: number, value: number, count: number): number {
  let rest = value;
  for (let next = at + count - 1; next >= at; next--) {
    const shorter = (rest / 10) | 0;
    target[next] = ZERO + (rest - shorter * 10);
    rest = shorter;
  }
  return at + count;
}

function digitCount(value: number): number {
  let count = 1;
  for (let bound = 10; value >= bound; bound *= 10) count++;
  return count;
}

function writeAscii(target: Uint8Array, at: number, text: string): number {
  for (let i = 0; i < text.length; i++) target[at + i] = text.charCodeAt(i);
  return at + text.length;
}
