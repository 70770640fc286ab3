import type { MetricScans } from '../../../materialize/index.ts';
import type { Labels } from '../promql/labels.ts';
import type { SelectedSeries, Selection } from '../promql/source.ts';
import { IndexKeeper } from './index-keeper.ts';
import { listLabelNames, listLabelValues, listSeries } from './list-series.ts';
import { type MatchedSeries, matchSeries } from './match-series.ts';
import type {
  Limited,
  MetadataOptions,
  MetricMetadata,
  MetricsView,
  SeriesExemplars,
  SeriesRange,
} from './metrics-view.ts';
import { selectSamples } from './select-samples.ts';
import type { StoredIndex } from './stored-index.ts';
import { readExemplars } from './view-exemplars.ts';
import type { ViewSettings } from './view-settings.ts';

/** Stored metrics behind `scans` as Prometheus sees them. The index of series is read with the first call and kept. */
export function createMetricsView(scans: MetricScans, settings: ViewSettings): MetricsView {
  return new StoredMetricsView(scans, settings);
}

class StoredMetricsView implements MetricsView {
  readonly #scans: MetricScans;
  readonly #settings: ViewSettings;
  readonly #keeper: IndexKeeper;

  constructor(scans: MetricScans, settings: ViewSettings) {
    this.#scans = scans;
    this.#settings = settings;
    this.#keeper = new IndexKeeper(scans, settings);
  }

  select(selection: Selection, signal: AbortSignal): Promise<SelectedSeries[]> {
    return this.#withIndex(signal, (index) =>
      selectSamples(this.#scans, index, selection, { infoIntervalMs: this.#settings.lookbackMs / 2, signal }),
    );
  }

  series(range: SeriesRange, signal: AbortSignal): Promise<Limited<Labels>> {
    return this.#withIndex(signal, (index) => listSeries(index, range));
  }

  labelNames(range: SeriesRange, signal: AbortSignal): Promise<Limited<string>> {
    return this.#withIndex(signal, (index) => listLabelNames(index, range));
  }

  labelValues(name: string, range: SeriesRange, signal: AbortSignal): Promise<Limited<string>> {
    return this.#withIndex(signal, (index) => listLabelValues(index, name, range));
  }

  metadata(options: MetadataOptions, signal: AbortSignal): Promise<ReadonlyMap<string, readonly MetricMetadata[]>> {
    return this.#withIndex(signal, (index) => index.metadata(options));
  }

  exemplars(range: SeriesRange, signal: AbortSignal): Promise<readonly SeriesExemplars[]> {
    return this.#withIndex(signal, async (index) => {
      const matched = new Map<string, MatchedSeries>();
      for (const matchers of range.selectors) {
        for (const series of matchSeries(index, matchers, range)) matched.set(series.labels.key, series);
      }
      return readExemplars(this.#scans, index, [...matched.values()], range, signal);
    });
  }

  async #withIndex<T>(signal: AbortSignal, read: (index: StoredIndex) => T | Promise<T>): Promise<T> {
    const index = await this.#keeper.current(signal);
    signal.throwIfAborted();
    return read(index);
  }
}
