import { type ColumnNode, readColumnsBatch } from '../sql/columns-encoder.ts';
import { COLUMNS_FORMAT, type SqlAnswer, type SqlRequest } from '../types.ts';
import { bigUint64s, float64s, int32s, listOffsets, textPairs, texts, uint32s } from './column-arrays.ts';
import { ACTIVITY_QUERY, type PointTable, pointsQuery } from './scan-queries.ts';
import { SeriesIds } from './series-ids.ts';
import { StoredSeriesReader } from './stored-series.ts';
import type {
  ActivityChunk,
  ExemplarChunk,
  ExponentialHistogramChunk,
  HistogramChunk,
  MetricScans,
  PointColumns,
  SampleChunk,
  SamplesRequest,
  ScanAnswer,
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

/** Scans of DuckDB's views of metrics, for one reader. Ids of series are the same however often tables are built anew, so ordinals stay. */
export function createMetricScans(ask: AskStore): MetricScans {
  return new StoredMetricScans(ask);
}

type Node = ColumnNode;
type ReadChunk<Chunk> = (points: PointColumns, columns: readonly ColumnNode[]) => Chunk;

class StoredMetricScans implements MetricScans {
  readonly #ask: AskStore;
  readonly #reader: StoredSeriesReader;
  #ids = new SeriesIds();
  /** Points of entries before this one were looked at by `changes`. */
  #nextOffset = 0n;

  constructor(ask: AskStore) {
    this.#ask = ask;
    this.#reader = new StoredSeriesReader((query, params, signal) => this.#batches(query, params, signal));
  }

  async changes(signal: AbortSignal): Promise<SeriesChanges> {
    let nextOffset = this.#nextOffset;
    const batches: (readonly [Node, Node, Node, Node, Node])[] = [];
    const unknown = new Set<bigint>();
    for await (const columns of this.#batches(ACTIVITY_QUERY, { from: String(nextOffset) }, signal)) {
      const batch = columns as readonly [Node, Node, Node, Node, Node];
      batches.push(batch);
      const ids = wordsOf(batch[0]);
      const bigIds = bigUint64s(batch[0]);
      for (let row = 0; row < bigIds.length; row++) {
        if (this.#ids.find(ids[2 * row]!, ids[2 * row + 1]!) === -1) unknown.add(bigIds[row]!);
      }
      for (const offset of bigUint64s(batch[4])) if (offset >= nextOffset) nextOffset = offset + 1n;
    }
    const stored = await this.#reader.read(unknown, signal);
    // Nothing below fails or waits: all of it counts as told, or nothing.
    const series: StoredSeries[] = [];
    for (const [id, one] of stored) {
      this.#ids.add(Number(id & 0xffff_ffffn), Number(id >> 32n));
      series.push(one);
    }
    this.#nextOffset = nextOffset;
    return { series, activity: batches.map((batch) => this.#activityOf(batch)) };
  }

  forget(): void {
    this.#ids = new SeriesIds();
    this.#nextOffset = 0n;
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
    for await (const columns of this.#rowsOf('exemplars', request)) {
      const [ids, times, values, traceIds, spanIds, attributes] = columns as readonly [
        Node,
        Node,
        Node,
        Node,
        Node,
        Node,
      ];
      yield {
        ordinals: this.#ordinalsOf(ids),
        timesMs: float64s(times),
        values: float64s(values),
        traceIds: texts(traceIds),
        spanIds: texts(spanIds),
        attributes: textPairs(attributes),
      };
    }
  }

  async *#points<Chunk>(table: PointTable, request: SamplesRequest, read: ReadChunk<Chunk>): ScanAnswer<Chunk> {
    for await (const columns of this.#rowsOf(table, request)) {
      const [ids, times, flags, startTimes] = columns as readonly [Node, Node, Node, Node];
      const points: PointColumns = {
        ordinals: this.#ordinalsOf(ids),
        timesMs: float64s(times),
        flags: uint32s(flags),
        startTimesMs: request.withStartTimes ? float64s(startTimes) : undefined,
      };
      yield read(points, columns.slice(request.withStartTimes ? 4 : 3));
    }
  }

  #rowsOf(table: PointTable, request: SamplesRequest): AsyncIterable<readonly ColumnNode[]> {
    const { ordinals, fromMs, untilMs, withStartTimes, signal } = request;
    const isOfAll = ordinals.length > ALL_SERIES_FRACTION * this.#ids.size;
    const range = { from: String(nanoseconds(fromMs, 0n)), until: String(nanoseconds(untilMs, NS_PER_MS - 1n)) };
    const params = isOfAll
      ? range
      : { ...range, ids: Array.from(ordinals, (ordinal) => this.#ids.idAt(ordinal)).join(',') };
    return this.#batches(pointsQuery(table, isOfAll, withStartTimes), params, signal);
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

  #activityOf([ids, firstTimes, lastTimes, bounds]: readonly [Node, Node, Node, Node, Node]): ActivityChunk {
    return {
      ordinals: this.#ordinalsOf(ids),
      firstTimesMs: float64s(firstTimes),
      lastTimesMs: float64s(lastTimes),
      boundOffsets: listOffsets(bounds),
      bounds: float64s(bounds.children[0]!),
    };
  }

  /** UNKNOWN_ORDINAL for a series that was not asked for or is not known yet. */
  #ordinalsOf(ids: ColumnNode): Uint32Array {
    const words = wordsOf(ids);
    const ordinals = new Uint32Array(ids.length);
    for (let row = 0; row < ids.length; row++) ordinals[row] = this.#ids.find(words[2 * row]!, words[2 * row + 1]!);
    return ordinals;
  }
}

/** Low and high half of each id. */
function wordsOf(ids: ColumnNode): Uint32Array {
  const [bytes] = ids.buffers;
  return new Uint32Array(bytes!.buffer, bytes!.byteOffset, 2 * ids.length);
}

/** What lies beyond the times that there are is cut to the outermost of them. */
function nanoseconds(timeMs: number, within: bigint): bigint {
  if (timeMs >= Number(TIME_MAX_NS / NS_PER_MS)) return TIME_MAX_NS;
  if (timeMs <= -Number(TIME_MAX_NS / NS_PER_MS)) return -TIME_MAX_NS;
  return BigInt(Math.trunc(timeMs)) * NS_PER_MS + within;
}
