import { LIMITS } from '../../base/index.ts';
import type { TableChangesSeen } from '../table-changes.ts';
import { KeptList } from './kept-list.ts';
import { endOfReading, KeptChunk, type KeptPiece, KeptPoints } from './kept-points.ts';
import { SampleKeeper } from './kept-samples.ts';
import { sortedExponentialHistograms } from './sorted-exponential-histograms.ts';
import { SortedHistograms } from './sorted-histograms.ts';
import type {
  ExponentialHistogramChunk,
  HistogramChunk,
  MetricScans,
  PointColumns,
  SamplesRequest,
  ScanAnswer,
} from './types.ts';

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
export function createKeptScans(
  scans: MetricScans,
  { see, nowMs = Date.now, bytesMax = LIMITS.prometheusKeptBytesMax }: KeptScansOptions,
): MetricScans {
  const list = new KeptList(see, bytesMax);
  const samples = new SampleKeeper(list, (request) => scans.samples(request), nowMs);
  const points = new PointKeeper(list, nowMs);
  return {
    async changes(signal) {
      const changes = await scans.changes(signal);
      list.nextOffset = changes.nextOffset;
      return changes;
    },
    forget() {
      list.clear();
      scans.forget();
    },
    samples: (request) => samples.read(request),
    histograms: (request) => points.read('histograms', (one) => scans.histograms(one), request, sortHistograms),
    exponentialHistograms: (request) =>
      points.read('exponentialHistograms', (one) => scans.exponentialHistograms(one), request, null, sortExponential),
    summaries: (request) => points.read('summaries', (one) => scans.summaries(one), request),
    exemplars: (request) => scans.exemplars(request),
  };
}

/** Read anew after so many additions: each is a chunk of its own, however small, and a window that moves on leaves its beginning behind. */
const ADDITIONS_MAX = 64;

/** How what is kept of a table is put together; null: it stays as it was read. */
type Gather<Chunk> = ((chunks: readonly Chunk[], ordinals: Uint32Array) => KeptPiece<Chunk>) | null;

const sortHistograms: Gather<HistogramChunk> = (chunks, ordinals) => new SortedHistograms(chunks, ordinals);

/** Only what was read at first: to copy all of it for each addition would cost more than it saves. */
const sortExponential: Gather<ExponentialHistogramChunk> = (chunks, ordinals) =>
  new KeptChunk(sortedExponentialHistograms(chunks, ordinals));

type Scan<Chunk> = (request: SamplesRequest) => ScanAnswer<Chunk>;

interface FirstRead<Chunk> {
  readonly request: SamplesRequest;
  /** As `KeptList` told it. */
  readonly begun: number;
  readonly gather: Gather<Chunk>;
}

interface FurtherRead<Chunk> {
  readonly untilOffset: bigint;
  readonly gather: Gather<Chunk>;
}

/** Keeps points of other tables, those of the same series in one range of times. */
class PointKeeper {
  readonly #list: KeptList;
  readonly #nowMs: () => number;

  constructor(list: KeptList, nowMs: () => number) {
    this.#list = list;
    this.#nowMs = nowMs;
  }

  async *read<Chunk extends PointColumns>(
    table: string,
    scan: Scan<Chunk>,
    request: SamplesRequest,
    gather: Gather<Chunk> = null,
    gatherFirst: Gather<Chunk> = gather,
  ): ScanAnswer<Chunk> {
    const begun = this.#list.begin();
    const untilOffset = this.#list.nextOffset;
    const found = this.#find<Chunk>(table, request);
    if (found === undefined) {
      const wanted = { ...request, untilMs: endOfReading(request, this.#nowMs()), untilOffset };
      yield* this.#readAnew(table, scan, wanted, { request, begun, gather: gatherFirst });
      return;
    }
    this.#list.keep(found);
    while (found.untilOffset < untilOffset) await this.#extend(found, scan, request, { untilOffset, gather });
    this.#list.trim();
    yield* found.within(request);
  }

  #find<Chunk extends PointColumns>(table: string, request: SamplesRequest): KeptPoints<Chunk> | undefined {
    const found = (this.#list.of(table) as readonly KeptPoints<Chunk>[]).find((one) => one.isOf(request.ordinals));
    if (found === undefined || (found.covers(request) && found.additions < ADDITIONS_MAX)) return found;
    this.#list.drop(found);
    return undefined;
  }

  async *#readAnew<Chunk extends PointColumns>(
    table: string,
    scan: Scan<Chunk>,
    wanted: SamplesRequest & { readonly untilOffset: bigint },
    { request, begun, gather }: FirstRead<Chunk>,
  ): ScanAnswer<Chunk> {
    const list = this.#list;
    let points: KeptPoints<Chunk> | null = new KeptPoints<Chunk>(table, wanted, wanted.untilOffset);
    for await (const chunk of scan(wanted)) {
      const own = new KeptChunk(chunk);
      points?.add(own);
      if (points !== null && points.bytes > list.bytesMax) points = null;
      yield* own.within(request);
    }
    if (points === null || !list.isCurrent(begun)) return;
    for (const one of list.of(table) as readonly KeptPoints<Chunk>[]) if (one.isOf(request.ordinals)) list.drop(one);
    if (gather !== null) points.gather(gather);
    list.keep(points);
  }

  /** Another reader may have read the same meanwhile: nothing is added twice. */
  async #extend<Chunk extends PointColumns>(
    points: KeptPoints<Chunk>,
    scan: Scan<Chunk>,
    { signal }: SamplesRequest,
    { untilOffset, gather }: FurtherRead<Chunk>,
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
}
