import { LIMITS } from '../../base/index.ts';
import type { TableChangesSeen } from '../table-changes.ts';
import { KeptChunk, type KeptPiece, KeptPoints } from './kept-points.ts';
import { SortedHistograms } from './sorted-histograms.ts';
import { SortedSamples } from './sorted-samples.ts';
import type { HistogramChunk, MetricScans, PointColumns, SampleChunk, SamplesRequest, ScanAnswer } from './types.ts';

export interface KeptScansOptions {
  /** What happened to the tables until now. */
  readonly see: () => TableChangesSeen;
  /** Now, in Unix milliseconds. */
  readonly nowMs?: () => number;
  /** Replaces the one of `LIMITS`. */
  readonly bytesMax?: number;
}

/**
 * Scans that keep the points they read, and read only what came since: dashboards ask for the same series again and again. Answers are of the entries that the last
 * `changes` told of. What is kept goes when rows went, and what was used least recently when it becomes too much.
 */
export function createKeptScans(scans: MetricScans, options: KeptScansOptions): MetricScans {
  const keeper = new PointKeeper(options);
  return {
    async changes(signal) {
      const changes = await scans.changes(signal);
      keeper.nextOffset = changes.nextOffset;
      return changes;
    },
    forget() {
      keeper.clear();
      scans.forget();
    },
    samples: (request) => keeper.read('samples', (one) => scans.samples(one), request, sortSamples),
    histograms: (request) => keeper.read('histograms', (one) => scans.histograms(one), request, sortHistograms),
    exponentialHistograms: (request) =>
      keeper.read('exponentialHistograms', (one) => scans.exponentialHistograms(one), request),
    summaries: (request) => keeper.read('summaries', (one) => scans.summaries(one), request),
    exemplars: (request) => scans.exemplars(request),
  };
}

/** Read anew after so many additions: each is a chunk of its own, however small, and a window that moves on leaves its beginning behind. */
const ADDITIONS_MAX = 64;

/** How what is kept of a table is put together; null: it stays as it was read. */
type Gather<Chunk> = ((chunks: readonly Chunk[], ordinals: Uint32Array) => KeptPiece<Chunk>) | null;

const sortSamples: Gather<SampleChunk> = (chunks, ordinals) => new SortedSamples(chunks, ordinals);

const sortHistograms: Gather<HistogramChunk> = (chunks, ordinals) => new SortedHistograms(chunks, ordinals);

type Scan<Chunk> = (request: SamplesRequest) => ScanAnswer<Chunk>;

interface Reading<Chunk> {
  readonly untilOffset: bigint;
  readonly gather: Gather<Chunk>;
}

interface Kept {
  readonly table: string;
  readonly points: KeptPoints<PointColumns>;
}

class PointKeeper {
  /** Entries from here on are not looked at. */
  nextOffset = 0n;
  readonly #see: () => TableChangesSeen;
  readonly #nowMs: () => number;
  readonly #bytesMax: number;
  /** The one used last is the last. */
  #kept: Kept[] = [];
  #removed = -1;

  constructor({ see, nowMs = Date.now, bytesMax = LIMITS.prometheusKeptBytesMax }: KeptScansOptions) {
    this.#see = see;
    this.#nowMs = nowMs;
    this.#bytesMax = bytesMax;
  }

  clear(): void {
    this.#kept = [];
  }

  async *read<Chunk extends PointColumns>(
    table: string,
    scan: Scan<Chunk>,
    request: SamplesRequest,
    gather: Gather<Chunk> = null,
  ): ScanAnswer<Chunk> {
    const { removed } = this.#see();
    if (removed !== this.#removed) this.clear();
    this.#removed = removed;
    const untilOffset = this.nextOffset;
    const found = this.#find<Chunk>(table, request);
    if (found === undefined) {
      yield* this.#readAnew(table, scan, request, { untilOffset, gather });
      return;
    }
    while (found.untilOffset < untilOffset) await this.#extend(found, scan, request, { untilOffset, gather });
    this.#trim();
    yield* found.within(request);
  }

  #find<Chunk extends PointColumns>(table: string, request: SamplesRequest): KeptPoints<Chunk> | undefined {
    const at = this.#kept.findIndex((one) => one.table === table && one.points.isOf(request.ordinals));
    if (at === -1) return undefined;
    const [one] = this.#kept.splice(at, 1) as [Kept];
    if (!one.points.covers(request) || one.points.additions >= ADDITIONS_MAX) return undefined;
    this.#kept.push(one);
    return one.points as KeptPoints<Chunk>;
  }

  async *#readAnew<Chunk extends PointColumns>(
    table: string,
    scan: Scan<Chunk>,
    request: SamplesRequest,
    { untilOffset, gather }: Reading<Chunk>,
  ): ScanAnswer<Chunk> {
    const removed = this.#removed;
    const wanted = { ...request, untilMs: this.#endOf(request), untilOffset };
    let points: KeptPoints<Chunk> | null = new KeptPoints<Chunk>(wanted, untilOffset);
    for await (const chunk of scan(wanted)) {
      const own = new KeptChunk(chunk);
      points?.add(own);
      if (points !== null && points.bytes > this.#bytesMax) points = null;
      yield* own.within(request);
    }
    if (points === null || this.#see().removed !== removed || this.#removed !== removed) return;
    this.#kept = this.#kept.filter((one) => one.table !== table || !one.points.isOf(request.ordinals));
    if (gather !== null) points.gather(gather);
    this.#kept.push({ table, points });
    this.#trim();
  }

  /** Another reader may have read the same meanwhile: nothing is added twice. */
  async #extend<Chunk extends PointColumns>(
    points: KeptPoints<Chunk>,
    scan: Scan<Chunk>,
    { signal }: SamplesRequest,
    { untilOffset, gather }: Reading<Chunk>,
  ): Promise<void> {
    const { ordinals, fromMs, untilMs, withStartTimes, untilOffset: fromOffset } = points;
    const chunks: KeptChunk<Chunk>[] = [];
    const request = { ordinals, fromMs, untilMs, withStartTimes, fromOffset, untilOffset, signal };
    for await (const chunk of scan(request)) chunks.push(new KeptChunk(chunk));
    if (points.untilOffset !== fromOffset) return;
    for (const chunk of chunks) points.add(chunk);
    if (gather !== null && chunks.length > 0) points.gather(gather);
    points.additions += chunks.length;
    points.untilOffset = untilOffset;
  }

  /** A window that reaches the present moves on with it: what is stored beyond its end is read at once, unless that may be more than the window has. */
  #endOf({ fromMs, untilMs }: SamplesRequest): number {
    return untilMs + (untilMs - fromMs) >= this.#nowMs() ? Number.POSITIVE_INFINITY : untilMs;
  }

  #trim(): void {
    let bytes = this.#kept.reduce((sum, { points }) => sum + points.bytes, 0);
    while (bytes > this.#bytesMax) bytes -= this.#kept.shift()!.points.bytes;
  }
}
