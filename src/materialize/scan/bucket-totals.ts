import type { KeptRange } from './kept-points.ts';
import { firstAtLeast, nextUp, ordinalPlaces, timeOrder } from './time-order.ts';
import type { BucketTotals, HistogramChunk } from './types.ts';

/** Bit of the flags of a point: it has no value. */
const NO_RECORDED_VALUE = 1;

/** The buckets of the series with these ordinals, ascending, added up: of points of a series at one millisecond only the last counts. */
export function addUpBuckets(chunk: HistogramChunk, ordinals: Uint32Array): BucketTotals {
  const { timesMs, rows, offsets } = rowsBySeries(chunk, ordinals);
  const slots = ordinals.length;
  const bounds: (Float64Array | undefined)[] = [];
  const first = new Float64Array(slots);
  let size = 0;
  let fallsSize = 0;
  const fallsFrom = new Uint32Array(slots);
  for (let slot = 0; slot < slots; slot++) {
    const from = offsets[slot]!;
    const until = offsets[slot + 1]!;
    const own = boundsOf(chunk, rows.subarray(from, until), bounds[slot - 1]);
    bounds.push(own);
    first[slot] = size;
    fallsFrom[slot] = fallsSize;
    if (own === undefined) continue;
    size += (own.length + 1) * (until - from);
    fallsSize += own.length + 1;
  }
  const values = new Float64Array(size);
  const mayFall = new Uint8Array(fallsSize);
  for (let slot = 0; slot < slots; slot++) {
    const own = bounds[slot];
    if (own === undefined) continue;
    const points = rows.subarray(offsets[slot]!, offsets[slot + 1]!);
    const falls = mayFall.subarray(fallsFrom[slot]!, fallsFrom[slot]! + own.length + 1);
    if (!addUp(chunk, points, values.subarray(first[slot]!, first[slot]! + falls.length * points.length), falls))
      bounds[slot] = undefined;
  }
  return {
    ordinals,
    timesMs,
    from: offsets.subarray(0, slots),
    until: offsets.subarray(1),
    rowsFrom: offsets.subarray(0, slots),
    rowsUntil: offsets.subarray(1),
    bounds,
    values,
    valuesFrom: first,
    mayFall,
    mayFallFrom: fallsFrom,
  };
}

/** The same without what lies before or behind the range; columns are shared. */
export function cutBuckets(totals: BucketTotals, { fromMs, untilMs }: KeptRange): BucketTotals {
  const from = new Uint32Array(totals.from.length);
  const until = new Uint32Array(totals.from.length);
  for (let slot = 0; slot < from.length; slot++) {
    const end = totals.rowsUntil[slot]!;
    from[slot] = firstAtLeast(totals.timesMs, totals.rowsFrom[slot]!, end, fromMs);
    until[slot] = firstAtLeast(totals.timesMs, from[slot]!, end, nextUp(untilMs));
  }
  return { ...totals, from, until };
}

/** Rows of a chunk by series and time. */
function rowsBySeries(
  { ordinals: ordinalOf, timesMs }: HistogramChunk,
  ordinals: Uint32Array,
): { readonly timesMs: Float64Array; readonly rows: Uint32Array; readonly offsets: Uint32Array } {
  const places = ordinalPlaces(ordinals);
  const slots = ordinals.length;
  const counted = new Uint32Array(slots + 1);
  const slotOf = (row: number): number => {
    const ordinal = ordinalOf[row]!;
    return ordinal < places.length ? places[ordinal]! - 1 : -1;
  };
  for (let row = 0; row < ordinalOf.length; row++) {
    const slot = slotOf(row);
    if (slot !== -1) counted[slot + 1]!++;
  }
  for (let slot = 0; slot < slots; slot++) counted[slot + 1]! += counted[slot]!;
  const next = counted.slice(0, -1);
  const rows = new Uint32Array(counted[slots]!);
  for (let row = 0; row < ordinalOf.length; row++) {
    const slot = slotOf(row);
    if (slot !== -1) rows[next[slot]!++] = row;
  }
  const times = Float64Array.from(rows, (row) => timesMs[row]!);
  const offsets = new Uint32Array(slots + 1);
  let size = 0;
  for (let slot = 0; slot < slots; slot++) {
    const from = counted[slot]!;
    const until = counted[slot + 1]!;
    const order = timeOrder(times, from, until);
    const ordered = order.map((at) => rows[at]!);
    rows.set(ordered, size);
    times.set(
      ordered.map((row) => timesMs[row]!),
      size,
    );
    size += ordered.length;
    offsets[slot + 1] = size;
  }
  return { timesMs: times.subarray(0, size), rows: rows.subarray(0, size), offsets };
}

/** The bounds that all points have; undefined when they differ, or when a point has no value. `before` is used again when it is the same. */
function boundsOf(
  chunk: HistogramChunk,
  rows: Uint32Array,
  before: Float64Array | undefined,
): Float64Array | undefined {
  if (rows.length === 0) return NO_BOUNDS;
  const [first] = rows;
  const from = chunk.boundOffsets[first!]!;
  const length = lengthOf(chunk, first!);
  let own = chunk.bounds.subarray(from, from + length);
  if (before !== undefined && before.length === length && before.every((bound, at) => bound === own[at])) own = before;
  else own = own.slice();
  for (const row of rows) {
    if ((chunk.flags[row]! & NO_RECORDED_VALUE) !== 0 || lengthOf(chunk, row) !== length) return undefined;
    const at = chunk.boundOffsets[row]!;
    for (let bound = 0; bound < length; bound++) if (chunk.bounds[at + bound] !== own[bound]) return undefined;
  }
  return own;
}

/** How many buckets a point has below that of +Inf. */
function lengthOf({ boundOffsets, bucketOffsets }: HistogramChunk, row: number): number {
  return Math.min(boundOffsets[row + 1]! - boundOffsets[row]!, bucketOffsets[row + 1]! - bucketOffsets[row]!);
}

/** Columns of one series, one for each bound and that of +Inf behind them. False when something in them is no number. */
function addUp(chunk: HistogramChunk, rows: Uint32Array, columns: Float64Array, mayFall: Uint8Array): boolean {
  const { bucketOffsets, bucketCounts, counts } = chunk;
  const points = rows.length;
  const last = mayFall.length - 1;
  for (let point = 0; point < points; point++) {
    const row = rows[point]!;
    const countsFrom = bucketOffsets[row]!;
    let below = 0;
    let at = point;
    for (let bound = 0; bound <= last; bound++) {
      below = bound === last ? counts[row]! : below + bucketCounts[countsFrom + bound]!;
      if (Number.isNaN(below)) return false;
      columns[at] = below;
      if (point > 0 && below < columns[at - 1]!) mayFall[bound] = 1;
      at += points;
    }
  }
  return true;
}

const NO_BOUNDS = new Float64Array(0);
