import { KeptChunk, type KeptPiece, type KeptRange } from './kept-points.ts';
import { addUpBuckets, cutBuckets } from './bucket-totals.ts';
import type { BucketTotals, HistogramChunk } from './types.ts';

/**
 * Points of classic histograms in the order in which they were stored, and their buckets added up by series and time, so that readers need not do so each time.
 */
export class SortedHistograms implements KeptPiece<HistogramChunk> {
  readonly bytes: number;
  readonly chunk: HistogramChunk;
  readonly #points: KeptChunk<HistogramChunk>;
  readonly #totals: BucketTotals;

  /** From chunks in the order in which they were stored; totals are of the series with these ordinals, ascending, alone. */
  constructor(chunks: readonly HistogramChunk[], ordinals: Uint32Array) {
    this.chunk = chunks.length === 1 ? chunks[0]! : joined(chunks);
    this.#points = new KeptChunk(this.chunk);
    this.#totals = addUpBuckets(this.chunk, ordinals);
    this.bytes = this.#points.bytes + this.#totals.timesMs.byteLength + this.#totals.values.byteLength;
  }

  *within(range: KeptRange): Generator<HistogramChunk> {
    for (const chunk of this.#points.within(range)) yield { ...chunk, totals: cutBuckets(this.#totals, range) };
  }
}

/** Rows one behind another. */
function joined(chunks: readonly HistogramChunk[]): HistogramChunk {
  const withStartTimes = chunks.some(({ startTimesMs }) => startTimesMs !== undefined);
  const column = (pick: (chunk: HistogramChunk) => Float64Array): Float64Array => {
    const parts = chunks.map(pick);
    const all = new Float64Array(parts.reduce((length, part) => length + part.length, 0));
    let at = 0;
    for (const part of parts) {
      all.set(part, at);
      at += part.length;
    }
    return all;
  };
  const numbers = (pick: (chunk: HistogramChunk) => Uint32Array): Uint32Array =>
    Uint32Array.from(column((chunk) => Float64Array.from(pick(chunk))));
  const offsets = (pick: (chunk: HistogramChunk) => Uint32Array): Uint32Array => {
    const all = new Uint32Array(chunks.reduce((length, { ordinals }) => length + ordinals.length, 1));
    let at = 0;
    let before = 0;
    for (const chunk of chunks) {
      const own = pick(chunk);
      const first = own[0] ?? 0;
      for (let row = 0; row < chunk.ordinals.length; row++) all[++at] = before + own[row + 1]! - first;
      before = all[at]!;
    }
    return all;
  };
  const listed = (values: Float64Array, own: Uint32Array): Float64Array =>
    values.subarray(own[0] ?? 0, own.at(-1) ?? 0);
  return {
    ordinals: numbers(({ ordinals }) => ordinals),
    timesMs: column(({ timesMs }) => timesMs),
    startTimesMs: withStartTimes
      ? column(({ startTimesMs, timesMs }) => startTimesMs ?? new Float64Array(timesMs.length))
      : undefined,
    flags: numbers(({ flags }) => flags),
    counts: column(({ counts }) => counts),
    sums: column(({ sums }) => sums),
    bucketOffsets: offsets(({ bucketOffsets }) => bucketOffsets),
    bucketCounts: column(({ bucketCounts, bucketOffsets }) => listed(bucketCounts, bucketOffsets)),
    boundOffsets: offsets(({ boundOffsets }) => boundOffsets),
    bounds: column(({ bounds, boundOffsets }) => listed(bounds, boundOffsets)),
  };
}
