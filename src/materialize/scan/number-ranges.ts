/** From the first to the last number, both within. */
export type NumberRange = readonly [first: number, last: number];

/** As many comparisons as are faster than a join, which loses the order of the rows, too. */
const RANGES_MAX = 8;
/** Numbers in the ranges for each that is wanted: what is read in vain has to be passed over. */
const COVERED_MAX = 1.25;

/** A few ranges with all of these numbers and not many others; null when there are none. */
export function numberRanges(numbers: readonly number[]): readonly NumberRange[] | null {
  const sorted = Uint32Array.from(numbers).sort();
  if (sorted.length === 0) return null;
  const gaps = [...sorted.keys()].slice(1).filter((at) => sorted[at]! - sorted[at - 1]! > 1);
  // The widest gaps are worth most.
  const cuts = gaps
    .sort((left, right) => sorted[right]! - sorted[right - 1]! - (sorted[left]! - sorted[left - 1]!))
    .slice(0, RANGES_MAX - 1)
    .sort((left, right) => left - right);
  const ranges = [0, ...cuts].map((from, at): NumberRange => [sorted[from]!, sorted[(cuts[at] ?? sorted.length) - 1]!]);
  const covered = ranges.reduce((sum, [first, last]) => sum + last - first + 1, 0);
  return covered <= COVERED_MAX * sorted.length ? ranges : null;
}
