import type { MetricScans, PointColumns, SamplesRequest } from '../../../materialize/index.ts';
import type { FloatColumn, HistogramColumn, SelectedSeries, Selection } from '../promql/source.ts';
import { readBucket, readCount, readQuantile, readSum } from './classic-parts.ts';
import { floatColumn, type FloatColumnOptions, type ReadPoint } from './float-columns.ts';
import type { MatchedSeries } from './match-series.ts';
import { nativeColumns } from './native-columns.ts';
import { PointTable } from './point-table.ts';
import type { StoredIndex } from './stored-index.ts';

/** Matched series that one scan serves. */
interface ScanGroup {
  readonly isDelta: boolean;
  readonly series: MatchedSeries[];
}

type ScanName = 'samples' | 'histograms' | 'exponentialHistograms' | 'summaries';

const NO_HISTOGRAMS: HistogramColumn = { timesMs: new Float64Array(0), values: [] };

/** Reads the samples of matched series. No more than `selection.samplesMax` points are held at a time. */
export async function selectSamples(
  scans: MetricScans,
  index: StoredIndex,
  matched: readonly MatchedSeries[],
  selection: Selection,
  signal: AbortSignal,
): Promise<SelectedSeries[]> {
  const selected: SelectedSeries[] = [];
  for (const [key, group] of grouped(index, matched)) {
    const ordinals = Uint32Array.from(new Set(group.series.map(({ entry }) => entry.ordinal))).sort();
    const slots = new Map(Array.from(ordinals, (ordinal, slot) => [ordinal, slot]));
    const request: SamplesRequest = {
      ordinals,
      // Sums of changes begin with the first change that is stored, whatever range is asked for.
      fromMs: group.isDelta ? firstTimeMs(index, ordinals) : selection.fromMs,
      untilMs: selection.untilMs,
      withStartTimes: selection.withStartTimes,
      signal,
    };
    const options = { isDelta: group.isDelta, fromMs: selection.fromMs, withStartTimes: selection.withStartTimes };
    const read = await columnsOf(key.split(' ')[0] as ScanName, scans, request, selection.samplesMax, options);
    for (const series of group.series) {
      const columns = read(series, slots.get(series.entry.ordinal)!);
      if (columns.floats.timesMs.length + columns.histograms.timesMs.length > 0)
        selected.push({ labels: series.labels, ...columns });
    }
  }
  return merged(selected);
}

type ReadSeries = (series: MatchedSeries, slot: number) => { floats: FloatColumn; histograms: HistogramColumn };

async function columnsOf(
  scan: ScanName,
  scans: MetricScans,
  request: SamplesRequest,
  pointsMax: number,
  options: FloatColumnOptions,
): Promise<ReadSeries> {
  const table = <Chunk extends PointColumns>(answer: AsyncIterable<Chunk>): Promise<PointTable<Chunk>> =>
    PointTable.read(answer, request.ordinals, pointsMax);
  const floats = <Chunk extends PointColumns>(points: PointTable<Chunk>, slot: number, read: ReadPoint<Chunk>) => ({
    floats: floatColumn(points, slot, read, options),
    histograms: NO_HISTOGRAMS,
  });
  switch (scan) {
    case 'samples': {
      const points = await table(scans.samples(request));
      return (_, slot) => floats(points, slot, (chunk, row) => chunk.values[row]!);
    }
    case 'histograms': {
      const points = await table(scans.histograms(request));
      return ({ entry, bound }, slot) =>
        floats(points, slot, entry.part === 'bucket' ? readBucket(bound) : entry.part === 'sum' ? readSum : readCount);
    }
    case 'summaries': {
      const points = await table(scans.summaries(request));
      return ({ entry, bound }, slot) =>
        floats(
          points,
          slot,
          entry.part === 'quantile' ? readQuantile(bound) : entry.part === 'sum' ? readSum : readCount,
        );
    }
    case 'exponentialHistograms': {
      const points = await table(scans.exponentialHistograms(request));
      return (_, slot) => nativeColumns(points, slot, options);
    }
  }
}

const SCANS = {
  gauge: 'samples',
  sum: 'samples',
  histogram: 'histograms',
  exponential_histogram: 'exponentialHistograms',
  summary: 'summaries',
  // Has no entry in the index.
  unknown: 'samples',
} as const;

function grouped(index: StoredIndex, matched: readonly MatchedSeries[]): Map<string, ScanGroup> {
  const groups = new Map<string, ScanGroup>();
  for (const series of matched) {
    const { type, temporality } = index.stored[series.entry.ordinal]!;
    const isDelta = temporality === 'delta' && type !== 'gauge' && type !== 'summary';
    const key = `${SCANS[type]} ${isDelta}`;
    const group = groups.get(key) ?? { isDelta, series: [] };
    group.series.push(series);
    groups.set(key, group);
  }
  return groups;
}

function firstTimeMs(index: StoredIndex, ordinals: Uint32Array): number {
  return ordinals.reduce(
    (first, ordinal) => Math.min(first, index.activity(ordinal)?.firstMs ?? first),
    Number.POSITIVE_INFINITY,
  );
}

/** Stored series may differ in what is no label here (a version of the scope, a unit): those with the same labels are one, by time. */
function merged(selected: readonly SelectedSeries[]): SelectedSeries[] {
  const byLabels = new Map<string, SelectedSeries>();
  for (const series of selected) {
    const before = byLabels.get(series.labels.key);
    byLabels.set(series.labels.key, before === undefined ? series : mergedPair(before, series));
  }
  return [...byLabels.values()];
}

function mergedPair(left: SelectedSeries, right: SelectedSeries): SelectedSeries {
  const floats = mergedTimes(left.floats.timesMs, right.floats.timesMs);
  const histograms = mergedTimes(left.histograms.timesMs, right.histograms.timesMs);
  return {
    labels: left.labels,
    floats: {
      timesMs: floats.timesMs,
      values: picked(floats, left.floats.values, right.floats.values),
      startTimesMs: pickedTimes(floats, left.floats.startTimesMs, right.floats.startTimesMs),
    },
    histograms: {
      timesMs: histograms.timesMs,
      values: histograms.fromRight.map((isRight, at) =>
        isRight ? right.histograms.values[histograms.places[at]!]! : left.histograms.values[histograms.places[at]!]!,
      ),
      startTimesMs: pickedTimes(histograms, left.histograms.startTimesMs, right.histograms.startTimesMs),
    },
  };
}

interface MergedTimes {
  readonly timesMs: Float64Array;
  readonly fromRight: readonly boolean[];
  readonly places: readonly number[];
}

/** At equal times the right one stays. */
function mergedTimes(left: Float64Array, right: Float64Array): MergedTimes {
  const timesMs: number[] = [];
  const fromRight: boolean[] = [];
  const places: number[] = [];
  let leftAt = 0;
  let rightAt = 0;
  while (leftAt < left.length || rightAt < right.length) {
    const leftMs = left[leftAt] ?? Number.POSITIVE_INFINITY;
    const rightMs = right[rightAt] ?? Number.POSITIVE_INFINITY;
    const isRight = rightMs <= leftMs;
    timesMs.push(isRight ? rightMs : leftMs);
    fromRight.push(isRight);
    places.push(isRight ? rightAt : leftAt);
    if (leftMs <= rightMs) leftAt++;
    if (isRight) rightAt++;
  }
  return { timesMs: Float64Array.from(timesMs), fromRight, places };
}

/** By words of 32 bits, since a number on its way through JavaScript may lose the bits of a marker. */
function picked({ fromRight, places }: MergedTimes, left: Float64Array, right: Float64Array): Float64Array {
  const values = new Float64Array(places.length);
  const words = (array: Float64Array): Uint32Array => new Uint32Array(array.buffer, array.byteOffset, array.length * 2);
  const [to, leftWords, rightWords] = [words(values), words(left), words(right)];
  places.forEach((place, at) => {
    const from = fromRight[at] === true ? rightWords : leftWords;
    to[2 * at] = from[2 * place]!;
    to[2 * at + 1] = from[2 * place + 1]!;
  });
  return values;
}

function pickedTimes(
  { fromRight, places }: MergedTimes,
  left: Float64Array | undefined,
  right: Float64Array | undefined,
): Float64Array | undefined {
  if (left === undefined && right === undefined) return undefined;
  return Float64Array.from(places, (place, at) => (fromRight[at] === true ? right : left)?.[place] ?? 0);
}
