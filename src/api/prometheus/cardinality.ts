/** How many series there are of what: `status/tsdb`. */
import type { MetricsView } from '../query/prometheus/metrics-view.ts';

interface NamedCount {
  readonly name: string;
  readonly value: number;
}

/** What upstream calls the statistics of its head; what this store does not have (chunks, its times) is left out. */
export interface Cardinality {
  readonly headStats: { readonly numSeries: number; readonly numLabelPairs: number };
  readonly seriesCountByMetricName: readonly NamedCount[];
  readonly labelValueCountByLabelName: readonly NamedCount[];
  readonly memoryInBytesByLabelName: readonly NamedCount[];
  readonly seriesCountByLabelValuePair: readonly NamedCount[];
}

/** Counts over all series that are stored; `limit` largest ones of each. */
export async function cardinalityOf(view: MetricsView, limit: number, signal: AbortSignal): Promise<Cardinality> {
  const { items } = await view.series(
    { selectors: [], fromMs: -Number.MAX_VALUE, untilMs: Number.MAX_VALUE, limit: 0 },
    signal,
  );
  const byLabel = new Map<string, Map<string, number>>();
  for (const { names, values } of items) {
    for (let at = 0; at < names.length; at++) {
      const counts = byLabel.get(names[at]!) ?? new Map<string, number>();
      byLabel.set(names[at]!, counts);
      counts.set(values[at]!, (counts.get(values[at]!) ?? 0) + 1);
    }
  }
  const labels = [...byLabel];
  const pairs = labels.flatMap(([name, counts]) => [...counts].map(([value, count]) => [`${name}=${value}`, count]));
  return {
    headStats: { numSeries: items.length, numLabelPairs: pairs.length },
    seriesCountByMetricName: largest([...(byLabel.get('__name__') ?? [])], limit),
    labelValueCountByLabelName: largest(
      labels.map(([name, counts]) => [name, counts.size]),
      limit,
    ),
    memoryInBytesByLabelName: largest(
      labels.map(([name, counts]) => [name, textBytes(counts.keys())]),
      limit,
    ),
    seriesCountByLabelValuePair: largest(pairs as [string, number][], limit),
  };
}

function largest(counts: readonly (readonly [string, number])[], limit: number): NamedCount[] {
  return counts
    .toSorted(([, left], [, right]) => right - left)
    .slice(0, limit)
    .map(([name, value]) => ({ name, value }));
}

function textBytes(texts: Iterable<string>): number {
  let bytes = 0;
  for (const text of texts) bytes += Buffer.byteLength(text, 'utf8');
  return bytes;
}
