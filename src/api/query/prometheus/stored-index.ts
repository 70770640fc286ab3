import {
  type ActivityChunk,
  type SeriesBeginnings,
  type StoredResource,
  type StoredSeries,
  UNKNOWN_ORDINAL,
} from '../../../materialize/index.ts';
import type { Labels } from '../promql/labels.ts';
import { BoundLists } from './bound-lists.ts';
import { LabelSets } from './label-sets.ts';
import { MetricFamilies } from './metric-families.ts';
import type { MetadataOptions, MetricMetadata } from './metrics-view.ts';
import { SeriesLabels } from './series-labels.ts';
import { TimeSpans } from './time-spans.ts';
import type { ViewSettings } from './view-settings.ts';

/**
 * Which Prometheus series of a stored one: its numbers, its native histograms, or one of the series of a classic histogram or a summary. `info` is the `target_info`
 * of resources and no stored series.
 */
export type SeriesPart = 'value' | 'native' | 'bucket' | 'quantile' | 'sum' | 'count' | 'info';

/** A stored series under one of the names that it has for Prometheus. Buckets and quantiles are one entry: their bounds are known from points only. */
export interface SeriesEntry {
  /** Of a `target_info`: its number among those. */
  readonly ordinal: number;
  readonly part: SeriesPart;
  /** All labels but `le` of buckets and `quantile` of quantiles. */
  readonly labels: Labels;
}

/** What there is to know of a stored series to read its points. */
export interface SeriesKind {
  readonly type: StoredSeries['type'];
  /** Points are changes since the one before. */
  readonly isDelta: boolean;
  readonly isMonotonic: boolean;
}

/** The stored series in memory, kept up by adding what is new, so that no call looks at every series. */
export class StoredIndex {
  /** By ordinal. Attributes are not kept: labels are made of them. */
  readonly kinds: SeriesKind[] = [];
  readonly #resources: StoredResource[] = [];
  readonly #kindByKey = new Map<string, SeriesKind>();
  /** By position. */
  readonly entries: SeriesEntry[] = [];
  /** Labels of the entries. */
  readonly sets = new LabelSets();
  readonly #families: MetricFamilies;
  /** By ordinal. */
  readonly #familyOf: number[] = [];
  readonly #labels: SeriesLabels;
  readonly #parts: Parts;
  readonly #spans = new TimeSpans();
  readonly #infoSpans = new TimeSpans();
  readonly #bounds: (readonly string[] | undefined)[] = [];
  readonly #boundLists = new BoundLists();
  readonly #infoOf = new WeakMap<StoredResource, number>();
  readonly #infoByKey = new Map<string, number>();
  /** Metrics of whose names there are both buckets (or quantiles) and series with a `le` (or `quantile`) of their own: labels may come out equal. */
  readonly #boundNames = new Map<string, number>();
  /** Summaries may have points and no quantiles. */
  #hasQuantiles = false;

  constructor(settings: ViewSettings) {
    this.#parts = settings.convertsHistograms ? { ...PARTS, histogram: PARTS.exponential_histogram } : PARTS;
    this.#labels = new SeriesLabels(settings);
    this.#families = new MetricFamilies(settings.strategy);
  }

  /** Adds the series with the next ordinals. */
  addSeries(series: readonly StoredSeries[]): void {
    for (const stored of series) {
      const ordinal = this.kinds.length;
      this.kinds.push(this.#kindOf(stored));
      this.#resources.push(stored.resource);
      const { number, name } = this.#families.of(stored);
      this.#familyOf.push(number);
      if (name === undefined) continue;
      const base = this.#labels.base(stored);
      for (const [part, suffix] of this.#parts[stored.type])
        this.#addEntry(ordinal, part, base.with('__name__', name + suffix));
    }
  }

  addActivity({ ordinals, firstTimesMs, lastTimesMs, boundOffsets, bounds }: ActivityChunk): void {
    for (let row = 0; row < ordinals.length; row++) {
      const ordinal = ordinals[row]!;
      if (ordinal === UNKNOWN_ORDINAL) continue;
      this.#spans.add(ordinal, firstTimesMs[row]!, lastTimesMs[row]!);
      this.#addToInfo(ordinal, firstTimesMs[row]!, lastTimesMs[row]!);
      const texts = this.#boundLists.texts(bounds, boundOffsets[row]!, boundOffsets[row + 1]!);
      if (texts.length > 0) this.#bounds[ordinal] = this.#boundLists.union(this.#bounds[ordinal] ?? NO_TEXTS, texts);
    }
  }

  /** What was told of points holds no more. Series stay, and have no points. */
  clearActivity(): void {
    this.#spans.clear();
    this.#infoSpans.clear();
    this.#bounds.length = 0;
  }

  /** Points have gone: where series begin that are left. */
  cutActivity({ oldestMs, untilMs, chunks }: SeriesBeginnings): void {
    const count = this.kinds.length;
    const beginsMs = new Float64Array(count).fill(Math.max(oldestMs, untilMs));
    for (const { ordinals, firstTimesMs } of chunks) {
      ordinals.forEach((ordinal, row) => {
        if (ordinal !== UNKNOWN_ORDINAL) beginsMs[ordinal] = Math.min(beginsMs[ordinal]!, firstTimesMs[row]!);
      });
    }
    this.#infoSpans.clear();
    for (let ordinal = 0; ordinal < count; ordinal++) {
      this.#spans.cut(ordinal, beginsMs[ordinal]!);
      const firstMs = this.#spans.firstMs(ordinal);
      if (firstMs === Infinity) this.#bounds[ordinal] = undefined;
      else this.#addToInfo(ordinal, firstMs, this.#spans.lastMs(ordinal));
    }
  }

  /** Texts of `le` without +Inf, or of `quantile`: all that any point of the series had. */
  bounds(ordinal: number): readonly string[] {
    return this.#bounds[ordinal] ?? NO_TEXTS;
  }

  /** What tells the series of an entry of buckets or quantiles apart: every `le`, or every `quantile`. */
  boundsOf({ ordinal, part }: SeriesEntry): readonly string[] {
    const bounds = this.bounds(ordinal);
    return part === 'bucket' ? this.#boundLists.withInfinity(bounds) : bounds;
  }

  /** The first point of an entry; Infinity when there is none. */
  firstMs({ ordinal, part }: SeriesEntry): number {
    return this.#spansOf(part).firstMs(ordinal);
  }

  lastMs({ ordinal, part }: SeriesEntry): number {
    return this.#spansOf(part).lastMs(ordinal);
  }

  /** Whether the entry at a position may have points in the range. */
  isActive(position: number, fromMs: number, untilMs: number): boolean {
    const { ordinal, part } = this.entries[position]!;
    return this.#spansOf(part).overlaps(ordinal, fromMs, untilMs);
  }

  /** By position: 1 for an entry that has any series with points in the range. Null: all have. */
  activeEntries(fromMs: number, untilMs: number): Uint8Array | null {
    if (
      !this.#hasQuantiles &&
      this.#spans.allOverlap(this.kinds.length, fromMs, untilMs) &&
      this.#infoSpans.allOverlap(this.#infoByKey.size, fromMs, untilMs)
    )
      return null;
    const isActive = new Uint8Array(this.entries.length);
    for (let position = 0; position < isActive.length; position++) {
      if (!this.isActive(position, fromMs, untilMs)) continue;
      const { ordinal, part } = this.entries[position]!;
      if (part !== 'quantile' || this.bounds(ordinal).length > 0) isActive[position] = 1;
    }
    return isActive;
  }

  /** Whether a series of the entry at a position may have the labels of one of another entry. */
  mayRepeat(position: number): boolean {
    if (this.sets.hasTwin(position)) return true;
    if (this.#boundNames.size === 0) return false;
    return this.#boundNames.get(this.entries[position]!.labels.get('__name__')) === (HAS_BOUNDS | HAS_BOUND_LABEL);
  }

  /** What is told of metrics that have points. */
  metadata(options: MetadataOptions): ReadonlyMap<string, readonly MetricMetadata[]> {
    const hasPoints = new Uint8Array(this.#familyOf.length);
    for (const [ordinal, family] of this.#familyOf.entries())
      if (this.#spans.firstMs(ordinal) !== Infinity) hasPoints[family] = 1;
    return this.#families.metadata(options, (family) => hasPoints[family] === 1);
  }

  #addToInfo(ordinal: number, firstMs: number, lastMs: number): void {
    const info = this.#infoNumber(this.#resources[ordinal]!);
    if (info !== -1) this.#infoSpans.add(info, firstMs, lastMs);
  }

  #kindOf({ type, temporality, isMonotonic }: StoredSeries): SeriesKind {
    const key = `${type} ${temporality} ${isMonotonic}`;
    let kind = this.#kindByKey.get(key);
    if (kind === undefined) {
      const isDelta = temporality === 'delta' && type !== 'gauge' && type !== 'summary';
      this.#kindByKey.set(key, (kind = { type, isDelta, isMonotonic }));
    }
    return kind;
  }

  #spansOf(part: SeriesPart): TimeSpans {
    return part === 'info' ? this.#infoSpans : this.#spans;
  }

  #addEntry(ordinal: number, part: SeriesPart, labels: Labels): void {
    if (part === 'quantile') this.#hasQuantiles = true;
    const isBound = part === 'bucket' || part === 'quantile';
    // Its bounds replace a label of that name.
    const shared = this.sets.add(isBound ? labels.with(part === 'bucket' ? 'le' : 'quantile', '') : labels);
    this.entries.push({ ordinal, part, labels: shared });
    if (!isBound && shared.get('le') === '' && shared.get('quantile') === '') return;
    const name = shared.get('__name__');
    this.#boundNames.set(name, (this.#boundNames.get(name) ?? 0) | (isBound ? HAS_BOUNDS : HAS_BOUND_LABEL));
  }

  /** The number of a resource's `target_info`, which has its entry from the first point on; -1 for a resource without one. */
  #infoNumber(resource: StoredResource): number {
    const known = this.#infoOf.get(resource);
    if (known !== undefined) return known;
    const labels = this.#labels.targetInfo(resource);
    let number = -1;
    if (labels !== undefined) {
      number = this.#infoByKey.get(labels.key) ?? this.#infoByKey.size;
      if (number === this.#infoByKey.size) {
        this.#infoByKey.set(labels.key, number);
        this.#addEntry(number, 'info', labels);
      }
    }
    this.#infoOf.set(resource, number);
    return number;
  }
}

const HAS_BOUNDS = 1;
const HAS_BOUND_LABEL = 2;
const NO_TEXTS: readonly string[] = [];

type Parts = Readonly<Record<StoredSeries['type'], readonly (readonly [SeriesPart, suffix: string])[]>>;

const PARTS: Parts = {
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
