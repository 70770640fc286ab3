import type { MetricScans } from '../../../materialize/index.ts';
import type { LabelMatcher } from '../promql/ast.ts';
import { compareLabels, compareStrings, type Labels } from '../promql/labels.ts';
import type { SelectedSeries, Selection } from '../promql/source.ts';
import { IndexKeeper } from './index-keeper.ts';
import { BOUND_NAMES, boundsOf, type MatchedSeries, matchSeries } from './match-series.ts';
import { storedMetricName } from './metric-name.ts';
import { prometheusType } from './metric-type.ts';
import type {
  Limited,
  MetadataOptions,
  MetricMetadata,
  MetricsView,
  SeriesExemplars,
  SeriesRange,
} from './metrics-view.ts';
import { selectSamples } from './select-samples.ts';
import type { SeriesEntry, StoredIndex } from './stored-index.ts';
import { matchTargetInfos, type TargetInfo, targetInfoSamples } from './target-info.ts';
import { unitName } from './unit-name.ts';
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
    const { matchers, fromMs, untilMs } = selection;
    return this.#withIndex(signal, async (index) => {
      const matched = matchSeries(index, matchers, fromMs, untilMs);
      const infos = matchTargetInfos(index, matchers, fromMs, untilMs);
      const series = await selectSamples(this.#scans, index, matched, selection, signal);
      const intervalMs = this.#settings.lookbackMs / 2;
      return [...series, ...infos.map((info) => targetInfoSamples(info, fromMs, untilMs, intervalMs))];
    });
  }

  series(range: SeriesRange, signal: AbortSignal): Promise<Limited<Labels>> {
    return this.#withIndex(signal, (index) => {
      const byKey = new Map<string, Labels>();
      for (const { labels } of matchedIn(index, range)) byKey.set(labels.key, labels);
      return limited([...byKey.values()].sort(compareLabels), range.limit);
    });
  }

  labelNames(range: SeriesRange, signal: AbortSignal): Promise<Limited<string>> {
    return this.#withIndex(signal, (index) => {
      const names = new Set<string>();
      for (const { labels } of matchedIn(index, range)) for (const name of labels.names) names.add(name);
      return limited([...names].sort(compareStrings), range.limit);
    });
  }

  labelValues(name: string, range: SeriesRange, signal: AbortSignal): Promise<Limited<string>> {
    return this.#withIndex(signal, (index) => {
      const values = range.selectors.length === 0 ? allValues(index, name, range) : matchedValues(index, name, range);
      return limited([...values].sort(compareStrings), range.limit);
    });
  }

  metadata(options: MetadataOptions, signal: AbortSignal): Promise<ReadonlyMap<string, readonly MetricMetadata[]>> {
    return this.#withIndex(signal, (index) => {
      const byName = new Map<string, MetricMetadata[]>();
      for (const stored of index.stored) {
        const name = storedMetricName(stored, this.#settings.strategy);
        if (name === undefined || (options.metric !== undefined && options.metric !== name)) continue;
        const known = byName.get(name) ?? [];
        const entry = { type: prometheusType(stored), unit: unitName(stored.unit, true), help: stored.description };
        const isKnown = known.some(
          ({ type, unit, help }) => type === entry.type && unit === entry.unit && help === entry.help,
        );
        if (isKnown || known.length >= options.perMetricMax) continue;
        if (known.length === 0 && byName.size >= options.metricsMax) continue;
        byName.set(name, [...known, entry]);
      }
      return byName;
    });
  }

  exemplars(range: SeriesRange, signal: AbortSignal): Promise<readonly SeriesExemplars[]> {
    return this.#withIndex(signal, async (index) => {
      const matched = new Map<string, MatchedSeries>();
      for (const matchers of range.selectors) {
        for (const series of matchSeries(index, matchers, range.fromMs, range.untilMs))
          matched.set(series.labels.key, series);
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

function matchedIn(index: StoredIndex, { selectors, fromMs, untilMs }: SeriesRange): (MatchedSeries | TargetInfo)[] {
  const lists: readonly (readonly LabelMatcher[])[] = selectors.length === 0 ? [[]] : selectors;
  return lists.flatMap((matchers) => [
    ...matchSeries(index, matchers, fromMs, untilMs),
    ...matchTargetInfos(index, matchers, fromMs, untilMs),
  ]);
}

function matchedValues(index: StoredIndex, name: string, range: SeriesRange): Set<string> {
  const values = new Set(matchedIn(index, range).map(({ labels }) => labels.get(name)));
  values.delete('');
  return values;
}

/** Values of a label without a look at each series: a value counts when any of its series may have points in the range. */
function allValues(index: StoredIndex, name: string, { fromMs, untilMs }: SeriesRange): Set<string> {
  const isActive = (position: number): boolean => index.isActive(index.entries[position]!.ordinal, fromMs, untilMs);
  const values = new Set<string>();
  for (const [value, positions] of index.values(name)) if (positions.some(isActive)) values.add(value);
  if (name === 'le' || name === 'quantile') {
    for (const [position, entry] of index.entries.entries()) {
      if (BOUND_NAMES[entry.part] === name && isActive(position)) addBounds(values, index, entry);
    }
  }
  for (const { labels } of matchTargetInfos(index, [], fromMs, untilMs)) {
    if (labels.get(name) !== '') values.add(labels.get(name));
  }
  return values;
}

function addBounds(values: Set<string>, index: StoredIndex, entry: SeriesEntry): void {
  for (const bound of boundsOf(index, entry)) values.add(bound);
}

function limited<T>(items: readonly T[], limit: number): Limited<T> {
  return limit > 0 && items.length > limit ? { items: items.slice(0, limit), isCut: true } : { items, isCut: false };
}
