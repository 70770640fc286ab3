import type { SelectedSeries } from '../promql/source.ts';
import type { TimeRange } from './match-series.ts';
import type { SeriesEntry, StoredIndex } from './stored-index.ts';

/** The samples of a `target_info` in the range: 1 at the first point of its resource, each `intervalMs` from there, and at the last point. */
export function targetInfoSamples(
  index: StoredIndex,
  entry: SeriesEntry,
  { fromMs, untilMs }: TimeRange,
  intervalMs: number,
): SelectedSeries {
  const firstMs = index.firstMs(entry);
  const lastMs = index.lastMs(entry);
  const timesMs: number[] = [];
  const skipped = Math.max(0, Math.ceil((fromMs - firstMs) / intervalMs));
  for (let timeMs = firstMs + skipped * intervalMs; timeMs < lastMs && timeMs <= untilMs; timeMs += intervalMs)
    timesMs.push(timeMs);
  if (lastMs >= fromMs && lastMs <= untilMs) timesMs.push(lastMs);
  return {
    labels: entry.labels,
    floats: { timesMs: Float64Array.from(timesMs), values: new Float64Array(timesMs.length).fill(1) },
    histograms: { timesMs: new Float64Array(0), values: [] },
  };
}
