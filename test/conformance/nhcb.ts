import { CUSTOM_BUCKETS_SCHEMA, type FloatHistogram } from '../../src/api/query/promql/histogram.ts';
import type { Labels } from '../../src/api/query/promql/labels.ts';
import type { LoadedSeries } from './script.ts';

interface ClassicHistogram {
  readonly buckets: Map<number, number>;
  count: number | undefined;
  sum: number;
}

interface ClassicSeries {
  readonly labels: Labels;
  readonly byTime: Map<number, ClassicHistogram>;
}

const SUFFIX = /_(bucket|sum|count)$/;

/** The histograms with custom buckets that the classic histograms among `series` stand for, as `load_with_nhcb` adds them. */
export function nhcbSeries(series: readonly LoadedSeries[]): LoadedSeries[] {
  const histograms = new Map<string, ClassicSeries>();
  for (const { labels, samples } of series) {
    const name = labels.get('__name__');
    const suffix = SUFFIX.exec(name)?.[1];
    const bound = suffix === 'bucket' ? boundOf(labels.get('le')) : 0;
    if (suffix === undefined || Number.isNaN(bound)) continue;
    const base = labels.with('__name__', name.replace(SUFFIX, '')).drop(new Set(['le']));
    const histogram = histograms.get(base.key) ?? { labels: base, byTime: new Map<number, ClassicHistogram>() };
    histograms.set(base.key, histogram);
    for (const { timeMs, value, histogram: native } of samples) {
      if (native !== undefined) continue;
      const classic = histogram.byTime.get(timeMs) ?? { buckets: new Map<number, number>(), count: undefined, sum: 0 };
      histogram.byTime.set(timeMs, classic);
      if (suffix === 'bucket') classic.buckets.set(bound, value);
      else if (suffix === 'count') classic.count = value;
      else classic.sum = value;
    }
  }
  return [...histograms.values()].map(({ labels, byTime }) => ({
    labels,
    samples: [...byTime.entries()]
      .sort(([left], [right]) => left - right)
      .map(([timeMs, classic]) => ({ timeMs, value: 0, histogram: converted(classic), startTimeMs: 0 })),
  }));
}

function converted({ buckets, count, sum }: ClassicHistogram): FloatHistogram {
  const bounds = [...buckets.keys()].sort((left, right) => left - right);
  const total = count ?? buckets.get(bounds.at(-1) ?? 0) ?? 0;
  if (bounds.at(-1) !== Number.POSITIVE_INFINITY) bounds.push(Number.POSITIVE_INFINITY);
  const indexes: number[] = [];
  const counts: number[] = [];
  let below = 0;
  bounds.forEach((bound, index) => {
    const cumulative = buckets.get(bound) ?? total;
    if (cumulative !== below) {
      indexes.push(index);
      counts.push(cumulative - below);
    }
    below = cumulative;
  });
  return {
    schema: CUSTOM_BUCKETS_SCHEMA,
    counterReset: 'unknown',
    zeroThreshold: 0,
    zeroCount: 0,
    count: total,
    sum,
    positive: { indexes: Int32Array.from(indexes), counts: Float64Array.from(counts) },
    negative: { indexes: new Int32Array(0), counts: new Float64Array(0) },
    customValues: Float64Array.from(bounds.slice(0, -1)),
  };
}

function boundOf(le: string): number {
  if (/^\+?inf$/i.test(le)) return Number.POSITIVE_INFINITY;
  return le === '' ? Number.NaN : Number(le);
}
