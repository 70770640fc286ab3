import { type ActivityChunk, type StoredSeries, UNKNOWN_ORDINAL } from '../../../materialize/index.ts';
import { formatFloat } from '../promql/format-float.ts';
import { Labels } from '../promql/labels.ts';
import { storedMetricName } from './metric-name.ts';
import { SeriesLabels } from './series-labels.ts';
import type { ViewSettings } from './view-settings.ts';

/** Which Prometheus series of a stored one: its numbers, its native histograms, or one of the series of a classic histogram or a summary. */
export type SeriesPart = 'value' | 'native' | 'bucket' | 'quantile' | 'sum' | 'count';

/** A stored series under one of the names that it has for Prometheus. Buckets and quantiles are one entry: their bounds are known from points only. */
export interface SeriesEntry {
  readonly ordinal: number;
  readonly part: SeriesPart;
  readonly name: string;
  /** All labels but name, `le` and `quantile`. */
  readonly base: Labels;
}

/** What is known of the points of a stored series. */
export interface SeriesActivity {
  readonly firstMs: number;
  readonly lastMs: number;
  /** Texts of `le` without +Inf, or of `quantile`: all that any point had. */
  readonly bounds: readonly string[];
}

/**
 * The stored series in memory: entries by ordinal, and for each label and value the entries that have it. Kept up by adding what is new.
 */
export class StoredIndex {
  readonly entries: SeriesEntry[] = [];
  readonly stored: StoredSeries[] = [];
  readonly #settings: ViewSettings;
  readonly #labels: SeriesLabels;
  readonly #postings = new Map<string, Map<string, number[]>>();
  readonly #activity: (SeriesActivity | undefined)[] = [];
  readonly #strings = new Map<string, string>();

  constructor(settings: ViewSettings) {
    this.#settings = settings;
    this.#labels = new SeriesLabels(settings);
  }

  /** Adds the series with the next ordinals. */
  addSeries(series: readonly StoredSeries[]): void {
    for (const stored of series) {
      const ordinal = this.stored.length;
      this.stored.push(stored);
      const name = storedMetricName(stored, this.#settings.strategy);
      if (name === undefined) continue;
      const base = this.#shared(this.#labels.base(stored));
      for (const [part, suffix] of PARTS[stored.type])
        this.#addEntry({ ordinal, part, name: this.#shareText(name + suffix), base });
    }
  }

  addActivity({ ordinals, firstTimesMs, lastTimesMs, boundOffsets, bounds }: ActivityChunk): void {
    for (let row = 0; row < ordinals.length; row++) {
      const ordinal = ordinals[row]!;
      if (ordinal === UNKNOWN_ORDINAL) continue;
      const before = this.#activity[ordinal];
      const texts = new Set(before?.bounds);
      for (let at = boundOffsets[row]!; at < boundOffsets[row + 1]!; at++)
        texts.add(this.#shareText(formatFloat(bounds[at]!)));
      const isSame = before !== undefined && texts.size === before.bounds.length;
      this.#activity[ordinal] = {
        firstMs: Math.min(before?.firstMs ?? Number.POSITIVE_INFINITY, firstTimesMs[row]!),
        lastMs: Math.max(before?.lastMs ?? Number.NEGATIVE_INFINITY, lastTimesMs[row]!),
        bounds: isSame ? before.bounds : [...texts],
      };
    }
  }

  /** Undefined for a series without a point. */
  activity(ordinal: number): SeriesActivity | undefined {
    return this.#activity[ordinal];
  }

  /** Whether a series may have points in the range. */
  isActive(ordinal: number, fromMs: number, untilMs: number): boolean {
    const activity = this.#activity[ordinal];
    return activity !== undefined && activity.firstMs <= untilMs && activity.lastMs >= fromMs;
  }

  /** Values of a label with the entries that have each, by position in `entries`, ascending; `le` and `quantile` of buckets and quantiles are not among them. */
  values(name: string): ReadonlyMap<string, readonly number[]> {
    return this.#postings.get(name) ?? NO_VALUES;
  }

  /** Names of labels that any entry has, but for `le` and `quantile` as above. */
  names(): IterableIterator<string> {
    return this.#postings.keys();
  }

  targetInfo(ordinal: number): Labels | undefined {
    return this.#labels.targetInfo(this.stored[ordinal]!.resource);
  }

  #addEntry(entry: SeriesEntry): void {
    const position = this.entries.length;
    this.entries.push(entry);
    this.#post('__name__', entry.name, position);
    for (const [name, value] of entry.base.pairs()) this.#post(name, value, position);
  }

  #post(name: string, value: string, position: number): void {
    let values = this.#postings.get(name);
    if (values === undefined) {
      values = new Map();
      this.#postings.set(name, values);
    }
    const positions = values.get(value);
    if (positions === undefined) values.set(value, [position]);
    else positions.push(position);
  }

  #shared(labels: Labels): Labels {
    return Labels.ofSorted(
      labels.names.map((name) => this.#shareText(name)),
      labels.values.map((value) => this.#shareText(value)),
    );
  }

  /** One string for equal texts: labels of many series hold the same few. */
  #shareText(text: string): string {
    const shared = this.#strings.get(text);
    if (shared !== undefined) return shared;
    this.#strings.set(text, text);
    return text;
  }
}

const NO_VALUES: ReadonlyMap<string, readonly number[]> = new Map();

const PARTS: Readonly<Record<StoredSeries['type'], readonly (readonly [SeriesPart, suffix: string])[]>> = {
  gauge: [['value', '']],
  sum: [['value', '']],
  histogram: [
    ['bucket', '_bucket'],
    ['sum', '_sum'],
    ['count', '_count'],
  ],
  exponential_histogram: [['native', '']],
  summary: [
    ['quantile', ''],
    ['sum', '_sum'],
    ['count', '_count'],
  ],
  unknown: [],
};
