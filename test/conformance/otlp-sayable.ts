import type { FloatHistogram } from '../../src/api/query/promql/histogram.ts';
import type { LoadedSeries, ScriptSample } from './script.ts';
import { isStaleNumber } from './stale-number.ts';

/** Buckets that one point of OTLP holds in a row at most; gaps between buckets are zeros there. */
const ROW_MAX = 100_000;

/**
 * Why no metric of OTLP gives exactly this series back when Prometheus' rules name and read it; undefined when one does. Looks at the data alone: numbers
 * of observations are whole there and not negative, times are not before 1970, and no histogram is a gauge or tells of a reset.
 */
export function whyUnsayable({ labels, samples }: LoadedSeries): string | undefined {
  const name = labels.names.find((each) => /^_+$/.test(each));
  if (name !== undefined) return 'labels of underscores alone';
  for (const sample of samples) {
    const reason = whySampleUnsayable(sample);
    if (reason !== undefined) return reason;
  }
  return undefined;
}

function whySampleUnsayable({ timeMs, startTimeMs, histogram }: ScriptSample): string | undefined {
  if (timeMs < 0 || startTimeMs < 0) return 'times before 1970';
  return histogram === undefined ? undefined : whyHistogramUnsayable(histogram);
}

function whyHistogramUnsayable(histogram: FloatHistogram): string | undefined {
  const { counterReset, count, zeroCount, sum, positive, negative } = histogram;
  if (counterReset === 'gauge') return 'histograms that are gauges';
  if (counterReset === 'reset') return 'counter resets that a histogram tells of itself';
  if (isStaleNumber(sum)) return 'ends of series with observations';
  const counts = [count, zeroCount, ...positive.counts, ...negative.counts];
  if (counts.some((each) => each < 0)) return 'negative numbers of observations';
  if (!counts.every((each) => Number.isSafeInteger(each))) return 'numbers of observations that are not whole';
  const isWide = [positive, negative].some(
    ({ indexes }) => indexes.length > 0 && indexes.at(-1)! - indexes[0]! >= ROW_MAX,
  );
  return isWide ? 'buckets too far apart' : undefined;
}
