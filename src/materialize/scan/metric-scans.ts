import { type ColumnNode, readColumnsBatch } from '../sql/columns-encoder.ts';
import { COLUMNS_FORMAT, type SqlAnswer, type SqlRequest } from '../types.ts';
import { bigUint64s, float64s, halves, int32s, listOffsets, textPairs, texts, uint32s } from './column-arrays.ts';
import { numberRanges } from './number-ranges.ts';
import {
  ACTIVITY_QUERY,
  BEGINNINGS_QUERY,
  NUMBERING_QUERY,
  numbersQuery,
  OLDEST_QUERY,
  type PointTable,
  pointsQuery,
} from './scan-queries.ts';
import { SeriesIds } from './series-ids.ts';
import { SeriesNumbering } from './series-numbering.ts';
import { StoredSeriesReader } from './stored-series.ts';
import { TextPool } from './text-pool.ts';
import type {
  ExemplarChunk,
  ExponentialHistogramChunk,
  HistogramChunk,
  MetricScans,
  PointColumns,
  SampleChunk,
  SamplesRequest,
  ScanAnswer,
  SeriesBeginnings,
  SeriesChanges,
  StoredSeries,
  SummaryChunk,
} from './types.ts';

/** Asks the store: the engine's `sql`, from whatever thread. */
export type AskStore = (request: SqlRequest, signal: AbortSignal) => Promise<Pick<SqlAnswer, 'chunks'>>;

/** How long one scan may take; the limit of the query that asks for it is shorter. */
const SCAN_TIMEOUT_MS = 600_000;

/** Asked for more than this part of all series, a scan reads all and passes over the others: a filter would keep nearly every row. */
const ALL_SERIES_FRACTION = 0.8;

const NS_PER_MS = 1_000_000n;
/** What DuckDB's TIMESTAMP_NS holds; the outermost numbers stand for infinities. */
const TIME_MAX_NS = 2n ** 63n - 2n;

/** How far behind the oldest point first points are looked for: steady series have one there, and looking at all points takes long. */
const BEGINNINGS_MS = 3_600_000;

/** Asked for by more numbers than these, all are read: a text of numbers grows by up to 11 bytes a number. */
const SOME_MAX = 20_000;

/**
 * Scans of DuckDB's tables of metrics, for one reader. Points have numbers of series, which may change whenever tables are put in place or opened: the store tells a
 * numbering, and a scan under one that holds no more is done again under the new one. Ids of series stay, and so do ordinals.
 */
export function createMetricScans(ask: AskStore): MetricScans {
  return new StoredMetricScans(ask);
}

type Node = ColumnNode;
/** Rows of a table: whose each is, and the columns behind that. */
interface ScannedRows {
  readonly ordinals: Uint32Array;
  readonly columns: readonly ColumnNode[];
}

/** A series' number, and the halves of its id. */
interface NumberedId {
  readonly number: number;
  readonly low: number;
  readonly high: number;
}

type ReadChunk<Chunk> = (points: PointColumns, columns: readonly ColumnNode[]) => Chunk;

class StoredMetricScans implements MetricScans {
  readonly #ask: AskStore;
  readonly #reader: StoredSeriesReader;
  #ids = new SeriesIds();
  #numbering: SeriesNumbering | undefined;

  constructor(ask: AskStore) {
    this.#ask = ask;
    this.#reader = new StoredSeriesReader((query, params, signal) => this.#batches(query, params, signal));
  }

  async changes(signal: AbortSignal, haveRowsGone = false): Promise<SeriesChanges> {
    for (;;) {
      const numbering = this.#numbering ?? (await this.#currentNumbering(signal));
      const changes = await this.#changesIn(numbering, signal, haveRowsGone);
      if (changes !== null) return changes;
      await this.#currentNumbering(signal);
    }
  }

  /** Null when another numbering holds meanwhile: nothing was taken then. */
  async #changesIn(
    numbering: SeriesNumbering,
    signal: AbortSignal,
    haveRowsGone: boolean,
  ): Promise<SeriesChanges | null> {
    let { nextOffset } = numbering;
    const isWhole = nextOffset === 0n;
    // Before activity: what comes meanwhile is told by that.
    const beginnings = haveRowsGone && !isWhole ? await this.#beginnings(numbering, signal) : undefined;
    if (beginnings === null) return null;
    const batches: (readonly [Node, Node, Node, Node])[] = [];
    const unknown = new Set<number>();
    for await (const columns of this.#batches(ACTIVITY_QUERY, { from: String(nextOffset) }, signal)) {
      const [numbers, firstTimes, lastTimes, bounds, offsets, ids] = columns as readonly [
        Node,
        Node,
        Node,
        Node,
        Node,
        Node,
      ];
      if (bigUint64s(ids)[0] !== numbering.id) return null;
      batches.push([numbers, firstTimes, lastTimes, bounds]);
      for (const number of uint32s(numbers)) if (!numbering.has(number)) unknown.add(number);
      for (const offset of bigUint64s(offsets)) if (offset >= nextOffset) nextOffset = offset + 1n;
    }
    const ids = await this.#idsOf(unknown, numbering, signal);
    if (ids.length < unknown.size && (await this.#currentNumbering(signal)) !== numbering) return null;
    const wanted = this.#newOf(ids);
    const stored = await this.#reader.read(wanted, signal);
    if (this.#numbering !== numbering) return null;
    // Nothing below fails or waits: all of it counts as told, or nothing.
    const series: StoredSeries[] = [];
    for (const [at, one] of stored.entries()) {
      if (one === undefined) continue;
      this.#ids.add(wanted.lowAt(at), wanted.highAt(at));
      series.push(one);
    }
    this.#addNumbers(numbering, ids);
    numbering.nextOffset = nextOffset;
    return {
      isWhole,
      beginnings,
      series,
      activity: batches.map(([numbers, firstTimes, lastTimes, bounds]) => ({
        ordinals: numbering.ordinalsOf(uint32s(numbers)),
        firstTimesMs: float64s(firstTimes),
        lastTimesMs: float64s(lastTimes),
        boundOffsets: listOffsets(bounds),
        bounds: float64s(bounds.children[0]!),
      })),
      nextOffset,
    };
  }

  /** Null when another numbering holds. */
  async #beginnings(numbering: SeriesNumbering, signal: AbortSignal): Promise<SeriesBeginnings | null> {
    let oldestMs = Number.POSITIVE_INFINITY;
    for await (const [times] of this.#batches(OLDEST_QUERY, {}, signal)) oldestMs = float64s(times!)[0]!;
    const untilMs = oldestMs + BEGINNINGS_MS;
    const chunks: { ordinals: Uint32Array; firstTimesMs: Float64Array }[] = [];
    for await (const columns of this.#batches(BEGINNINGS_QUERY, { until: String(nanoseconds(untilMs, 0n)) }, signal)) {
      const [numbers, firstTimes, ids] = columns as readonly [Node, Node, Node];
      if (bigUint64s(ids)[0] !== numbering.id) return null;
      chunks.push({ ordinals: numbering.ordinalsOf(uint32s(numbers)), firstTimesMs: float64s(firstTimes) });
    }
    return { oldestMs, untilMs, chunks };
  }

  forget(): void {
    this.#ids = new SeriesIds();
    this.#numbering = undefined;
  }

  samples(request: SamplesRequest): ScanAnswer<SampleChunk> {
    return this.#points('samples', request, (points, [values]) => ({ ...points, values: float64s(values!) }));
  }

  histograms(request: SamplesRequest): ScanAnswer<HistogramChunk> {
    return this.#points('histograms', request, (points, columns) => {
      const [counts, sums, buckets, bounds] = columns as readonly [Node, Node, Node, Node];
      return {
        ...points,
        counts: float64s(counts),
        sums: float64s(sums),
        bucketOffsets: listOffsets(buckets),
        bucketCounts: float64s(buckets.children[0]!),
        boundOffsets: listOffsets(bounds),
        bounds: float64s(bounds.children[0]!),
      };
    });
  }

  exponentialHistograms(request: SamplesRequest): ScanAnswer<ExponentialHistogramChunk> {
    return this.#points('exp_histograms', request, (points, columns) => {
      const [counts, sums, scales, zeroCounts, zeroThresholds] = columns as readonly [Node, Node, Node, Node, Node];
      const [positiveFirst, positive, negativeFirst, negative] = columns.slice(5) as [Node, Node, Node, Node];
      return {
        ...points,
        counts: float64s(counts),
        sums: float64s(sums),
        scales: int32s(scales),
        zeroCounts: float64s(zeroCounts),
        zeroThresholds: float64s(zeroThresholds),
        positiveFirstIndexes: int32s(positiveFirst),
        positiveOffsets: listOffsets(positive),
        positiveCounts: float64s(positive.children[0]!),
        negativeFirstIndexes: int32s(negativeFirst),
        negativeOffsets: listOffsets(negative),
        negativeCounts: float64s(negative.children[0]!),
      };
    });
  }

  summaries(request: SamplesRequest): ScanAnswer<SummaryChunk> {
    return this.#points('summaries', request, (points, columns) => {
      const [counts, sums, quantiles, values] = columns as readonly [Node, Node, Node, Node];
      return {
        ...points,
        counts: float64s(counts),
        sums: float64s(sums),
        quantileOffsets: listOffsets(quantiles),
        quantiles: float64s(quantiles.children[0]!),
        quantileValues: float64s(values.children[0]!),
      };
    });
  }

  async *exemplars(request: SamplesRequest): ScanAnswer<ExemplarChunk> {
    const pool = new TextPool();
    for await (const { ordinals, columns } of this.#rowsOf('exemplars', request)) {
      const [times, values, traceIds, spanIds, attributes] = columns as readonly [Node, Node, Node, Node, Node];
      yield {
        ordinals,
        timesMs: float64s(times),
        values: float64s(values),
        traceIds: texts(traceIds, pool),
        spanIds: texts(spanIds, pool),
        attributes: textPairs(attributes, pool),
      };
    }
  }

  async *#points<Chunk>(table: PointTable, request: SamplesRequest, read: ReadChunk<Chunk>): ScanAnswer<Chunk> {
    for await (const { ordinals, columns } of this.#rowsOf(table, request)) {
      const [times, flags, startTimes] = columns as readonly [Node, Node, Node];
      const points: PointColumns = {
        ordinals,
        timesMs: float64s(times),
        flags: uint32s(flags),
        startTimesMs: request.withStartTimes ? float64s(startTimes) : undefined,
      };
      yield read(points, columns.slice(request.withStartTimes ? 3 : 2));
    }
  }

  async *#rowsOf(table: PointTable, request: SamplesRequest): AsyncIterable<ScannedRows> {
    const { ordinals, fromMs, untilMs, signal } = request;
    const isOfAll = ordinals.length > ALL_SERIES_FRACTION * this.#ids.size;
    const range = { from: String(nanoseconds(fromMs, 0n)), until: String(nanoseconds(untilMs, NS_PER_MS - 1n)) };
    let numbering = this.#numbering ?? (await this.#currentNumbering(signal));
    for (;;) {
      const asked = isOfAll ? [] : Array.from(ordinals, (ordinal) => numbering.numbersOf(ordinal)).flat();
      const ranges = numberRanges(asked);
      const query = pointsQuery(table, numbering.id, { ...request, isOfAll, ranges });
      let isEmpty = true;
      for await (const [numbers, ...columns] of this.#batches(
        query,
        isOfAll || ranges !== null ? range : { ...range, keys: asked.join(',') },
        signal,
      )) {
        isEmpty = false;
        yield { ordinals: numbering.ordinalsOf(uint32s(numbers!)), columns };
      }
      if (!isEmpty) return;
      // No rows, or none under this numbering.
      const now = await this.#currentNumbering(signal);
      if (now === numbering) return;
      numbering = now;
    }
  }

  /** Asks the store which numbering holds. Another one than before begins with the numbers of the series that are known. */
  async #currentNumbering(signal: AbortSignal): Promise<SeriesNumbering> {
    for (;;) {
      let id = 0n;
      for await (const [ids] of this.#batches(NUMBERING_QUERY, {}, signal)) id = bigUint64s(ids!)[0]!;
      if (this.#numbering?.id === id) return this.#numbering;
      const numbering = new SeriesNumbering(id);
      const found = this.#ids.size === 0 ? [] : await this.#idsOf(null, numbering, signal);
      if (this.#numbering?.id === id) return this.#numbering;
      this.#addNumbers(numbering, found);
      this.#numbering = numbering;
    }
  }

  /** Ids of the series with these numbers, or of all: those that there are under this numbering, in the order of their numbers. */
  async #idsOf(
    wanted: ReadonlySet<number> | null,
    numbering: SeriesNumbering,
    signal: AbortSignal,
  ): Promise<readonly NumberedId[]> {
    const found: NumberedId[] = [];
    if (wanted?.size === 0) return found;
    const isOfAll = wanted === null || wanted.size > SOME_MAX;
    const params: Readonly<Record<string, string>> = isOfAll ? {} : { keys: [...wanted].join(',') };
    for await (const [numbers, ids] of this.#batches(numbersQuery(numbering.id, isOfAll), params, signal)) {
      const words = halves(ids!);
      for (const [row, number] of uint32s(numbers!).entries()) {
        if (wanted === null || wanted.has(number))
          found.push({ number, low: words[2 * row]!, high: words[2 * row + 1]! });
      }
    }
    return found.sort((left, right) => left.number - right.number);
  }

  /** Those that are not known yet, each once. */
  #newOf(numbered: readonly NumberedId[]): SeriesIds {
    const ids = new SeriesIds();
    for (const { low, high } of numbered)
      if (this.#ids.find(low, high) === -1 && ids.find(low, high) === -1) ids.add(low, high);
    return ids;
  }

  #addNumbers(numbering: SeriesNumbering, numbered: readonly NumberedId[]): void {
    for (const { number, low, high } of numbered) {
      const ordinal = this.#ids.find(low, high);
      if (ordinal !== -1) numbering.add(number, ordinal);
    }
  }

  async *#batches(
    query: string,
    params: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): AsyncGenerator<readonly ColumnNode[]> {
    const request: SqlRequest = {
      query,
      params,
      format: COLUMNS_FORMAT,
      rowsMax: Number.MAX_SAFE_INTEGER,
      timeoutMs: SCAN_TIMEOUT_MS,
    };
    const { chunks } = await this.#ask(request, signal);
    for await (const chunk of chunks) yield readColumnsBatch(chunk as Uint8Array<ArrayBuffer>).columns;
  }
}

/** What lies beyond the times that there are is cut to the outermost of them. */
function nanoseconds(timeMs: number, within: bigint): bigint {
  if (timeMs >= Number(TIME_MAX_NS / NS_PER_MS)) return TIME_MAX_NS;
  if (timeMs <= -Number(TIME_MAX_NS / NS_PER_MS)) return -TIME_MAX_NS;
  return BigInt(Math.trunc(timeMs)) * NS_PER_MS + within;
}
