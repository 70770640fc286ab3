import type { FloatHistogram, HistogramList } from '../promql/histogram.ts';
import type { SelectedSeries } from '../promql/source.ts';
import { hintAfter } from './native-columns.ts';

/** Stored series may differ in what is no label here (a version of the scope, a unit): those with the same labels are one, by time. */
export function mergeEqual(selected: readonly SelectedSeries[]): SelectedSeries[] {
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
      values: mergedHistograms(histograms, left.histograms.values, right.histograms.values),
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

/** What is known of resets holds against the sample before, which may be one of the other side now. */
function mergedHistograms(
  { fromRight, places }: MergedTimes,
  left: HistogramList,
  right: HistogramList,
): FloatHistogram[] {
  let before: FloatHistogram | undefined;
  return places.map((place, at) => {
    const own = (fromRight[at] === true ? right : left).at(place)!;
    const isBehindOther = at > 0 && fromRight[at] !== fromRight[at - 1];
    const histogram = isBehindOther ? { ...own, counterReset: hintAfter(before, own) } : own;
    before = histogram;
    return histogram;
  });
}

function pickedTimes(
  { fromRight, places }: MergedTimes,
  left: Float64Array | undefined,
  right: Float64Array | undefined,
): Float64Array | undefined {
  if (left === undefined && right === undefined) return undefined;
  return Float64Array.from(places, (place, at) => (fromRight[at] === true ? right : left)?.[place] ?? 0);
}
