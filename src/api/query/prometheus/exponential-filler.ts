import { type ExponentialHistogramChunk, FELL, OTHER_BUCKETS_USED } from '../../../materialize/index.ts';
import { type HistogramColumns, UNTOLD } from '../promql/histogram-columns.ts';
import type { HistogramForm } from '../promql/histogram-form.ts';
import { COMPARED, FALLEN, OTHER_BUCKETS } from '../promql/histogram-neighbours.ts';
import type { HistogramFiller } from './native-columns.ts';

/** Scales of OpenTelemetry that Prometheus has as schemas. Finer ones are merged down, coarser ones have no form. */
const SCALE_MIN = -4;
const SCALE_MAX = 8;

/** The zero bucket of a point that names no width (upstream's defaultZeroThreshold). */
const DEFAULT_ZERO_THRESHOLD = 1e-128;

const NO_BOUNDS = new Float64Array(0);

const NO_FORM: HistogramForm = {
  schema: NaN,
  zeroThreshold: 0,
  customValues: NO_BOUNDS,
  positiveFirst: 0,
  positiveSize: 0,
  negativeFirst: 0,
  negativeSize: 0,
};

/**
 * Exponential histograms as native ones, whose buckets stay where they are; points too coarse for Prometheus are none. OpenTelemetry's bucket i is Prometheus' bucket
 * i + 1, since i holds (base^i, base^(i+1)]. Source: prometheusremotewrite/histograms.go.
 */
export class ExponentialFiller implements HistogramFiller<ExponentialHistogramChunk> {
  readonly #columns: HistogramColumns;
  /** By number of chunk. */
  readonly #pages: number[] = [];
  /** Of the point before: the next one mostly has the same. */
  #form = NO_FORM;
  #formNumber = -1;
  /** Where the point before came from. */
  #chunkBefore = -1;
  #rowBefore = -1;

  constructor(columns: HistogramColumns) {
    this.#columns = columns;
  }

  add(chunkNumber: number, chunk: ExponentialHistogramChunk, row: number): boolean {
    const scale = chunk.scales[row]!;
    if (scale < SCALE_MIN) return false;
    if (scale > SCALE_MAX) return this.#addMerged(chunk, row, scale - SCALE_MAX);
    const page = (this.#pages[chunkNumber] ??= this.#columns.addPage(chunk.positiveCounts, chunk.negativeCounts));
    const start = chunk.positiveOffsets[row]!;
    const negativeStart = chunk.negativeOffsets[row]!;
    const positiveSize = chunk.positiveOffsets[row + 1]! - start;
    const negativeSize = chunk.negativeOffsets[row + 1]! - negativeStart;
    const positiveFirst = positiveSize === 0 ? 0 : chunk.positiveFirstIndexes[row]! + 1;
    const negativeFirst = negativeSize === 0 ? 0 : chunk.negativeFirstIndexes[row]! + 1;
    const zeroThreshold = chunk.zeroThresholds[row]! || DEFAULT_ZERO_THRESHOLD;
    const form = this.#form;
    if (
      form.schema !== scale ||
      form.zeroThreshold !== zeroThreshold ||
      form.positiveFirst !== positiveFirst ||
      form.positiveSize !== positiveSize ||
      form.negativeFirst !== negativeFirst ||
      form.negativeSize !== negativeSize
    )
      this.#turnTo({
        schema: scale,
        zeroThreshold,
        customValues: NO_BOUNDS,
        positiveFirst,
        positiveSize,
        negativeFirst,
        negativeSize,
      });
    const index = this.#columns.add(this.#formNumber, UNTOLD, page, start, negativeStart);
    this.#fill(index, chunk, row);
    if (chunk.changes !== undefined && this.#rowBefore === row - 1 && this.#chunkBefore === chunkNumber)
      this.#columns.changes[index] = comparison(chunk.changes[row]!);
    this.#rowBefore = row;
    this.#chunkBefore = chunkNumber;
    return true;
  }

  /** With 2 ** `merge` buckets made into one. */
  #addMerged(chunk: ExponentialHistogramChunk, row: number, merge: number): boolean {
    const { positiveOffsets, negativeOffsets } = chunk;
    const positive = chunk.positiveCounts.subarray(positiveOffsets[row], positiveOffsets[row + 1]);
    const negative = chunk.negativeCounts.subarray(negativeOffsets[row], negativeOffsets[row + 1]);
    const above = merged(positive, chunk.positiveFirstIndexes[row]!, merge);
    const below = merged(negative, chunk.negativeFirstIndexes[row]!, merge);
    this.#turnTo({
      schema: SCALE_MAX,
      zeroThreshold: chunk.zeroThresholds[row]! || DEFAULT_ZERO_THRESHOLD,
      customValues: NO_BOUNDS,
      positiveFirst: above.first,
      positiveSize: above.sums.length,
      negativeFirst: below.first,
      negativeSize: below.sums.length,
    });
    const columns = this.#columns;
    const index = columns.addEmpty(this.#formNumber, UNTOLD);
    columns.pages[columns.pageOf[index]!]!.set(above.sums, columns.startOf[index]);
    columns.negativePages[columns.pageOf[index]!]!.set(below.sums, columns.negativeStartOf[index]);
    this.#fill(index, chunk, row);
    return true;
  }

  #turnTo(form: HistogramForm): void {
    this.#formNumber = this.#columns.formNumber(form);
    this.#form = this.#columns.forms[this.#formNumber]!;
  }

  #fill(index: number, chunk: ExponentialHistogramChunk, row: number): void {
    this.#columns.zeroCounts[index] = chunk.zeroCounts[row]!;
    this.#columns.counts[index] = chunk.counts[row]!;
    this.#columns.sums[index] = chunk.sums[row]!;
  }
}

/** The form of a point whose buckets can stay as they are; undefined for others. */
export function formOfPoint(chunk: ExponentialHistogramChunk, row: number): HistogramForm | undefined {
  const schema = chunk.scales[row]!;
  if (schema < SCALE_MIN || schema > SCALE_MAX) return undefined;
  const positiveSize = chunk.positiveOffsets[row + 1]! - chunk.positiveOffsets[row]!;
  const negativeSize = chunk.negativeOffsets[row + 1]! - chunk.negativeOffsets[row]!;
  return {
    schema,
    zeroThreshold: chunk.zeroThresholds[row]! || DEFAULT_ZERO_THRESHOLD,
    customValues: NO_BOUNDS,
    positiveFirst: positiveSize === 0 ? 0 : chunk.positiveFirstIndexes[row]! + 1,
    positiveSize,
    negativeFirst: negativeSize === 0 ? 0 : chunk.negativeFirstIndexes[row]! + 1,
    negativeSize,
  };
}

/** What was kept of a comparison, as columns have it. */
export function comparison(change: number): number {
  if (change === 0) return 0;
  return COMPARED | ((change & FELL) === 0 ? 0 : FALLEN) | ((change & OTHER_BUCKETS_USED) === 0 ? 0 : OTHER_BUCKETS);
}

function merged(counts: Float64Array, firstIndex: number, merge: number): { first: number; sums: Float64Array } {
  if (counts.length === 0) return { first: 0, sums: counts };
  const factor = 2 ** merge;
  const lowest = Math.floor(firstIndex / factor);
  const sums = new Float64Array(Math.floor((firstIndex + counts.length - 1) / factor) - lowest + 1);
  for (let at = 0; at < counts.length; at++) sums[Math.floor((firstIndex + at) / factor) - lowest]! += counts[at]!;
  return { first: lowest + 1, sums };
}
