import { CUSTOM_BUCKETS_SCHEMA, type FloatHistogram } from './histogram.ts';

/** The finest schema: 256 buckets between two powers of two. Coarser schemas share its bounds. */
const FINEST_SCHEMA = 8;

/** Widths of the buckets of schemas 1 to 8, as upstream's Exp2 gives them: some are one unit in the last place off the true root of 2. */
const BUCKET_FACTORS = [
  1.414213562373095, 1.189207115002721, 1.0905077326652577, 1.0442737824274138, 1.0218971486541166, 1.0108892860517005,
  1.0054299011128027, 1.0027112750502025,
];

let fractions: Float64Array | undefined;

/** Powers of two from 2 ** LEAST_EXPONENT on: looked up faster than worked out. */
let powers: Float64Array | undefined;
const LEAST_EXPONENT = -1_100;
const EXPONENTS = 2_200;

/**
 * The upper bound of bucket `index` of the positive side; its lower bound is that of `index - 1`. The last bucket of finite numbers ends at
 * Number.MAX_VALUE, the one behind it at Infinity. Custom buckets begin at -Infinity and end at Infinity.
 * Source: Prometheus model/histogram/generic.go.
 */
export function upperBound(index: number, schema: number, customValues: Float64Array): number {
  if (schema === CUSTOM_BUCKETS_SCHEMA) {
    if (index < 0) return Number.NEGATIVE_INFINITY;
    return index < customValues.length ? customValues[index]! : Number.POSITIVE_INFINITY;
  }
  if (schema < 0) {
    const exponent = index * 2 ** -schema;
    return exponent === 1024 ? Number.MAX_VALUE : 2 ** exponent;
  }
  fractions ??= fractionsOfTwo();
  const perOctave = 1 << schema;
  const octave = Math.floor(index / perOctave);
  const fraction = fractions[(index - octave * perOctave) << (FINEST_SCHEMA - schema)]!;
  if (fraction === 0.5 && octave === 1024) return Number.MAX_VALUE;
  // Either factor alone must be a number: not Infinity at the top, not rounded to 0 at the bottom.
  return octave < 0 ? fraction * powerOfTwo(octave + 1) : fraction * 2 * powerOfTwo(octave);
}

function powerOfTwo(exponent: number): number {
  powers ??= Float64Array.from({ length: EXPONENTS }, (_, at) => 2 ** (LEAST_EXPONENT + at));
  return powers[exponent - LEAST_EXPONENT] ?? 2 ** exponent;
}

export function hasCustomBuckets(histogram: Pick<FloatHistogram, 'schema'>): boolean {
  return histogram.schema === CUSTOM_BUCKETS_SCHEMA;
}

/** Whether both histograms have exponential buckets, or both custom ones; others can be neither added nor compared. */
export function areCompatible(left: FloatHistogram, right: FloatHistogram): boolean {
  return hasCustomBuckets(left) === hasCustomBuckets(right);
}

export function haveEqualBounds(left: Float64Array, right: Float64Array): boolean {
  if (left.length !== right.length) return false;
  for (let at = 0; at < left.length; at++) if (left[at] !== right[at]) return false;
  return true;
}

/** The bucket of `toSchema`, a coarser schema, that holds bucket `index` of `fromSchema`. */
export function coarserIndex(index: number, fromSchema: number, toSchema: number): number {
  return Math.ceil(index / 2 ** (fromSchema - toSchema));
}

/**
 * 2 ** (i / 256) / 2 for i of 0..255. Rounded as upstream's table is, whose bounds must come out equal: each schema takes every other bound from the coarser
 * one and reaches those between by one multiplication (client_golang prometheus/histogram.go).
 */
function fractionsOfTwo(): Float64Array {
  let bounds = Float64Array.of(0.5);
  for (const factor of BUCKET_FACTORS) {
    const coarser = bounds;
    bounds = new Float64Array(2 * coarser.length).map((_, at) => coarser[at >> 1]! * (at % 2 === 0 ? 1 : factor));
  }
  return bounds;
}
