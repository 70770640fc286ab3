import type {
  ExponentialHistogramChunk,
  HistogramChunk,
  MetricScans,
  PointColumns,
  SampleChunk,
  SamplesRequest,
  SummaryChunk,
} from '../../../materialize/index.ts';
import { lengthOf } from '../promql/float-rows.ts';
import { tooManySamples } from '../promql/promql-errors.ts';
import type { FloatColumn, HistogramColumn, SelectedSeries, Selection } from '../promql/source.ts';
import { bucketColumns } from './bucket-columns.ts';
import { readCount, readQuantile, readSum } from './classic-parts.ts';
import { CustomFiller } from './custom-filler.ts';
import { ExponentialFiller } from './exponential-filler.ts';
import { floatColumn, type FloatColumnOptions } from './float-columns.ts';
import { type MatchedSeries, matchSeries } from './match-series.ts';
import { mergeEqual } from './merge-series.ts';
import { NativeColumns } from './native-columns.ts';
import { PointSlots } from './point-slots.ts';
import { PointTable } from './point-table.ts';
import { SampleColumns } from './sample-columns.ts';
import { SortedNativeColumns } from './sorted-native-columns.ts';
import type { SeriesKind, StoredIndex } from './stored-index.ts';
import { targetInfoSamples } from './target-info.ts';
import { TotalColumns } from './total-columns.ts';

/** Matched series that one scan serves. */
interface ScanGroup {
  readonly scan: ScanName;
  readonly isDelta: boolean;
  readonly series: MatchedSeries[];
}

type ScanName = 'samples' | 'histograms' | 'exponentialHistograms' | 'summaries';

/** Reads the samples of the series that match. No more than `selection.samplesMax` points are held at a time. */
export async function selectSamples(
  scans: MetricScans,
  index: StoredIndex,
  selection: Selection,
  options: { readonly infoIntervalMs: number; readonly signal: AbortSignal },
): Promise<SelectedSeries[]> {
  const matched = matchSeries(index, selection.matchers, selection);
  const selected: SelectedSeries[] = [];
  const repeated: SelectedSeries[] = [];
  const give: Give = ({ labels, mayRepeat }, floats, histograms) => {
    if (lengthOf(floats) + histograms.timesMs.length > 0)
      (mayRepeat ? repeated : selected).push({ labels, floats, histograms });
  };
  for (const group of groupsOf(index, matched)) await readGroup(scans, index, { group, selection, ...options }, give);
  for (const series of matched) {
    if (series.entry.part !== 'info') continue;
    const { floats, histograms } = targetInfoSamples(index, series.entry, selection, options.infoIntervalMs);
    give(series, floats, histograms);
  }
  return [...selected, ...mergeEqual(repeated)];
}

type Give = (series: MatchedSeries, floats: FloatColumn, histograms: HistogramColumn) => void;

interface GroupRead {
  readonly group: ScanGroup;
  readonly selection: Selection;
  readonly signal: AbortSignal;
}

async function readGroup(scans: MetricScans, index: StoredIndex, read: GroupRead, give: Give): Promise<void> {
  const { group, selection, signal } = read;
  const { isDelta, series } = group;
  const { fromMs, untilMs, withStartTimes } = selection;
  const slots = new PointSlots(series.map(({ entry }) => entry.ordinal));
  const request: SamplesRequest = {
    ordinals: slots.ordinals,
    // Sums of changes begin with the first change that is stored, whatever range is asked for.
    fromMs: isDelta ? series.reduce((first, { entry }) => Math.min(first, index.firstMs(entry)), Infinity) : fromMs,
    untilMs,
    withStartTimes,
    signal,
  };
  const options: FloatColumnOptions = { isDelta, fromMs, withStartTimes };
  const limit = new ReadLimit(read, slots);
  switch (group.scan) {
    case 'samples':
      return giveSamples(await readSamples(scans.samples(request), slots, options, limit), slots, series, give);
    case 'histograms': {
      return giveHistograms(await readChunks(scans.histograms(request), limit), slots, { series, options }, give);
    }
    case 'summaries': {
      const points = await readPoints(scans.summaries(request), slots, limit);
      return giveSummaries(points, slots, { series, options }, give);
    }
    case 'exponentialHistograms': {
      const chunks = await readChunks(scans.exponentialHistograms(request), limit);
      const columns = exponentialColumns(chunks, slots, options);
      for (const one of series) {
        const { floats, histograms } = columns.of(slots.of(one.entry.ordinal));
        give(one, floats, histograms);
      }
    }
  }
}

/** What one scan reads against what a query, and what all of them, may hold. */
class ReadLimit {
  readonly #selection: Selection;
  readonly #signal: AbortSignal;
  /** Series that are made of each stored one. */
  readonly #seriesEach: number;
  readonly #isNative: boolean;
  #samples = 0;

  constructor({ selection, group, signal }: GroupRead, slots: PointSlots) {
    this.#selection = selection;
    this.#signal = signal;
    this.#seriesEach = group.series.length / Math.max(1, slots.count);
    this.#isNative = group.series.some(({ entry }) => entry.part === 'native');
    selection.memory?.asks();
  }

  /** Numbers are sorted into columns. */
  async takeSamples({ timesMs, rows }: SampleChunk): Promise<void> {
    let samples = timesMs.length;
    if (rows !== undefined) {
      samples = 0;
      for (let slot = 0; slot < rows.from.length; slot++) samples += rows.until[slot]! - rows.from[slot]!;
    }
    this.#count(samples);
    await this.#selection.memory?.read(SAMPLE_BYTES * samples, this.#signal);
  }

  /** Of others chunks stay, and series are made beside them. */
  async takePoints(chunk: PointColumns): Promise<void> {
    const points = chunk.ordinals.length;
    const columns = Object.values(chunk) as (Float64Array | undefined)[];
    const chunkBytes = columns.reduce((bytes, column) => bytes + (column?.byteLength ?? 0), 0);
    this.#count(points * this.#seriesEach);
    const seriesBytes = this.#isNative ? HISTOGRAM_BYTES : NUMBER_BYTES * this.#seriesEach;
    await this.#selection.memory?.read(chunkBytes + (PLACE_BYTES + seriesBytes) * points, this.#signal);
  }

  /** Throws as soon as there are too many. */
  #count(samples: number): void {
    this.#samples += samples;
    if (this.#samples > this.#selection.samplesMax) throw tooManySamples();
  }
}

/** Time and value, and half of that again: a part of the samples is held twice while runs are joined, and some wait unsorted. */
const SAMPLE_BYTES = 24;
/** Time and place of a point in a table of points. */
const PLACE_BYTES = 14;
const NUMBER_BYTES = 8;
/** Numbers of a native histogram; its buckets lie in the chunk. */
const HISTOGRAM_BYTES = 56;

async function readSamples(
  scan: AsyncIterable<SampleChunk>,
  slots: PointSlots,
  options: FloatColumnOptions,
  limit: ReadLimit,
): Promise<SampleColumns> {
  const columns = new SampleColumns(slots, options);
  for await (const chunk of scan) {
    await limit.takeSamples(chunk);
    columns.add(chunk);
  }
  columns.finish();
  return columns;
}

async function readPoints<Chunk extends PointColumns>(
  scan: AsyncIterable<Chunk>,
  slots: PointSlots,
  limit: ReadLimit,
): Promise<PointTable<Chunk>> {
  return new PointTable(await readChunks(scan, limit), slots);
}

async function readChunks<Chunk extends PointColumns>(scan: AsyncIterable<Chunk>, limit: ReadLimit): Promise<Chunk[]> {
  const chunks: Chunk[] = [];
  for await (const chunk of scan) {
    await limit.takePoints(chunk);
    chunks.push(chunk);
  }
  return chunks;
}

interface GroupColumns {
  readonly series: readonly MatchedSeries[];
  readonly options: FloatColumnOptions;
}

function giveSamples(columns: SampleColumns, slots: PointSlots, series: readonly MatchedSeries[], give: Give): void {
  for (const one of series) give(one, columns.column(slots.of(one.entry.ordinal)), NO_HISTOGRAMS);
}

/** Buckets of one histogram stand beside each other. */
function giveHistograms(
  chunks: readonly HistogramChunk[],
  slots: PointSlots,
  { series, options }: GroupColumns,
  give: Give,
): void {
  const totals = chunks.length === 1 ? chunks[0]!.totals : undefined;
  const added = totals === undefined ? undefined : new TotalColumns(totals);
  let table: PointTable<HistogramChunk> | undefined;
  const points = () => (table ??= new PointTable(chunks, slots));
  let natives: NativeColumns<HistogramChunk> | undefined;
  for (let at = 0; at < series.length; ) {
    const { entry } = series[at]!;
    const slot = slots.of(entry.ordinal);
    if (entry.part === 'native') {
      natives ??= new NativeColumns(points(), options, (filled) => new CustomFiller(filled));
      const { floats, histograms } = natives.of(slot);
      give(series[at]!, floats, histograms);
      at++;
      continue;
    }
    if (entry.part !== 'bucket') {
      give(
        series[at]!,
        floatColumn(points(), slot, entry.part === 'sum' ? readSum : readCount, options),
        NO_HISTOGRAMS,
      );
      at++;
      continue;
    }
    const first = at;
    while (at < series.length && series[at]!.entry === entry) at++;
    const buckets = series.slice(first, at);
    const bounds = buckets.map(({ bound }) => bound);
    const columns = added?.of(slot, bounds, options) ?? bucketColumns(points(), slot, bounds, options);
    for (const [place, bucket] of buckets.entries()) give(bucket, columns[place]!, NO_HISTOGRAMS);
  }
}

function exponentialColumns(
  chunks: readonly ExponentialHistogramChunk[],
  slots: PointSlots,
  options: FloatColumnOptions,
): NativeColumns<ExponentialHistogramChunk> | SortedNativeColumns {
  const isDirect = chunks.length === 1 && !options.isDelta && !options.withStartTimes;
  const sorted = isDirect ? SortedNativeColumns.of(chunks[0]!, slots) : undefined;
  return sorted ?? new NativeColumns(new PointTable(chunks, slots), options, (filled) => new ExponentialFiller(filled));
}

function giveSummaries(
  points: PointTable<SummaryChunk>,
  slots: PointSlots,
  { series, options }: GroupColumns,
  give: Give,
): void {
  for (const one of series) {
    const { part, ordinal } = one.entry;
    const read = part === 'quantile' ? readQuantile(one.bound) : part === 'sum' ? readSum : readCount;
    give(one, floatColumn(points, slots.of(ordinal), read, options), NO_HISTOGRAMS);
  }
}

const NO_HISTOGRAMS: HistogramColumn = { timesMs: new Float64Array(0), values: [] };

const SCANS = {
  gauge: 'samples',
  sum: 'samples',
  histogram: 'histograms',
  exponential_histogram: 'exponentialHistograms',
  summary: 'summaries',
  // Has no entry in the index.
  unknown: 'samples',
} as const;

/** In the order of the first of each. */
function groupsOf(index: StoredIndex, matched: readonly MatchedSeries[]): Iterable<ScanGroup> {
  const groups = new Map<string, ScanGroup>();
  const byKind = new Map<SeriesKind, ScanGroup>();
  for (const series of matched) {
    if (series.entry.part === 'info') continue;
    const kind = index.kinds[series.entry.ordinal]!;
    let group = byKind.get(kind);
    if (group === undefined) {
      const scan = SCANS[kind.type];
      const key = `${scan} ${kind.isDelta}`;
      group = groups.get(key) ?? { scan, isDelta: kind.isDelta, series: [] };
      groups.set(key, group);
      byKind.set(kind, group);
    }
    group.series.push(series);
  }
  return groups.values();
}
