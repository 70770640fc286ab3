import { POINT, putEight, ZERO } from './whole-digits.ts';

/**
 * Writes the fewest digits that no other number is nearer to, as JavaScript's own text has them, to `view` from `at` on, where there must be room for 25, and returns where
 * it ended. The number is what `toShorten` holds, from `SHORTEST_FROM` on and below `SHORTEST_BELOW`. -1, and anything behind `at`, where it cannot tell: powers of two, and ties.
 *
 * Scaled by a power of ten that is a number without error, the value has 17 digits before the point, exactly: a product and what rounding took from it. Half the distance
 * to the next number is scaled likewise. Within that distance there is at most one multiple of 100, which has the fewest digits then; else the nearest multiple of 10, else
 * of 1, which is always within.
 */
export function putShortest(view: DataView, at: number): number {
  const value = toShorten[0]!;
  const topBits = halves[1]!;
  if (halves[0] === 0 && (topBits & MANTISSA_BITS) === 0) return -1;
  const binade = (topBits >>> EXPONENT_SHIFT) - FIRST_BINADE;
  const tens = value < nextPowers[binade]! ? tensOfBinades[binade]! : tensOfBinades[binade]! + 1;
  const place = WHOLE_DIGITS - 1 - tens;
  const power = powers[place]!;
  const scaled = value * power;
  const halfStep = halfSteps[binade]! * power;

  // What rounding took, exactly: Dekker's product.
  const spread = value * SPLITTER;
  const valueHigh = spread - (spread - value);
  const valueLow = value - valueHigh;
  const powerHigh = powerHighs[place]!;
  const powerLow = power - powerHigh;
  const taken = valueHigh * powerHigh - scaled + valueHigh * powerLow + valueLow * powerHigh + valueLow * powerLow;

  const takenWhole = Math.floor(taken);
  const fraction = taken - takenWhole;
  let first = Math.floor(scaled * 1e-8);
  let rest = scaled - first * 1e8 + takenWhole;
  if (rest < 0) {
    rest += 1e8;
    first--;
  } else if (rest >= 1e8) {
    rest -= 1e8;
    first++;
  }

  let last = rest | 0;
  const of100 = last % 100;
  const near100 = 100 * Math.floor((of100 + fraction) * 0.01 + 0.5);
  const far100 = Math.abs(near100 - of100 - fraction);
  if (far100 < halfStep) {
    if (far100 > halfStep - DOUBT) return -1;
    last += near100 - of100;
  } else {
    const of10 = last % 10;
    const near10 = 10 * Math.floor((of10 + fraction) * 0.1 + 0.5);
    const far10 = Math.abs(near10 - of10 - fraction);
    if (far100 < halfStep + DOUBT || Math.abs(far10 - halfStep) < DOUBT || far10 > 5 - DOUBT) return -1;
    if (far10 < halfStep) last += near10 - of10;
    else if (Math.abs(fraction - 0.5) < DOUBT) return -1;
    else last += Math.floor(fraction + 0.5);
  }
  if (last === 1e8) {
    last = 0;
    first++;
  }
  return first < 1e9 ? putDigits(view, at, tens, first | 0, last) : -1;
}

/** The one number that `putShortest` writes: as an argument it would be an allocation. */
export const toShorten = new Float64Array(1);

/** Numbers that `putShortest` can write: below the first texts have an exponent; from the second on powers of ten are none without error. */
export const SHORTEST_FROM = 1e-6;
export const SHORTEST_BELOW = 1e17;

/** 17 digits, of which the first stands for so many tens: without zeros at the end. */
function putDigits(view: DataView, at: number, tens: number, first: number, last: number): number {
  let start = at;
  if (tens >= 0) {
    // The point goes behind the whole digits, which move to make room.
    start++;
  } else {
    view.setUint8(start++, ZERO);
    view.setUint8(start++, POINT);
    for (let zeros = -1 - tens; zeros > 0; zeros--) view.setUint8(start++, ZERO);
  }
  const leading = (first / 1e8) | 0;
  view.setUint8(start, ZERO + leading);
  let end = putEight(view, start + 1, first - 1e8 * leading);
  if (last !== 0 || tens > 8) end = putEight(view, end, last);
  while (view.getUint8(end - 1) === ZERO) end--;
  if (tens < 0) return end;
  const pointAt = start + tens;
  for (let digit = at; digit < pointAt; digit++) view.setUint8(digit, view.getUint8(digit + 1));
  if (end <= pointAt + 1) return pointAt;
  view.setUint8(pointAt, POINT);
  return end;
}

const WHOLE_DIGITS = 17;
/** Nearer to a bound than this is told by other means: sums of the exact parts may be rounded. */
const DOUBT = 1e-9;
/** Takes the upper half of a number's digits. */
const SPLITTER = 2 ** 27 + 1;
const EXPONENT_SHIFT = 20;
const MANTISSA_BITS = 2 ** EXPONENT_SHIFT - 1;
const EXPONENT_BIAS = 1023;

/** Its bits, lower half first on every machine that runs this. */
const halves = new Int32Array(toShorten.buffer);

/** From 1 to 10^22: all that are numbers without error. */
const powers = Float64Array.from({ length: 23 }, (_, tens) => Number(`1e${tens}`));
const powerHighs = powers.map((power) => power * SPLITTER - (power * SPLITTER - power));

/** Numbers between two powers of two, from the one with `SHORTEST_FROM` on: the tens of the first of them, the next power of ten, and half the step between them. */
const FIRST_BINADE = EXPONENT_BIAS + Math.floor(Math.log2(SHORTEST_FROM));
const binades = Array.from(
  { length: Math.ceil(Math.log2(SHORTEST_BELOW)) - Math.floor(Math.log2(SHORTEST_FROM)) },
  (_, at) => 2 ** (FIRST_BINADE - EXPONENT_BIAS + at),
);
const tensOfBinades = Int8Array.from(binades, (from) => Number(from.toExponential().split('e')[1]));
const nextPowers = Float64Array.from(tensOfBinades, (tens) => Number(`1e${tens + 1}`));
const halfSteps = Float64Array.from(binades, (from) => from * 2 ** -53);
