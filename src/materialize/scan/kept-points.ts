import type { Kept } from './kept-list.ts';
import { type PointColumns, UNKNOWN_ORDINAL } from './types.ts';

/** Points of some series, as they were read. */
export class KeptPoints<Chunk extends PointColumns> implements Kept {
  readonly table: string;
  readonly ordinals: Uint32Array;
  /** All points of the series in this range of times are here, of entries below `untilOffset`. */
  readonly fromMs: number;
  readonly untilMs: number;
  readonly withStartTimes: boolean;
  untilOffset: bigint;
  bytes: number;
  /** How often points were added since the first read. */
  additions = 0;
  #chunks: KeptPiece<Chunk>[] = [];

  constructor(
    table: string,
    { ordinals, fromMs, untilMs, withStartTimes }: KeptRange & { readonly ordinals: Uint32Array },
    untilOffset: bigint,
  ) {
    this.table = table;
    this.ordinals = ordinals;
    this.fromMs = fromMs;
    this.untilMs = untilMs;
    this.withStartTimes = withStartTimes;
    this.untilOffset = untilOffset;
    this.bytes = OWN_BYTES + ordinals.byteLength;
  }

  /** Chunks are in the order of the tables: what was stored later comes behind. */
  add(chunk: KeptPiece<Chunk>): void {
    this.#chunks.push(chunk);
    this.bytes += chunk.bytes;
  }

  /** Has one piece take the place of all. */
  gather(made: (chunks: readonly Chunk[], ordinals: Uint32Array) => KeptPiece<Chunk>): void {
    const whole = made(
      this.#chunks.map(({ chunk }) => chunk),
      this.ordinals,
    );
    this.#chunks = [];
    this.bytes = OWN_BYTES + this.ordinals.byteLength;
    this.add(whole);
  }

  /** Whether everything that is asked for can be told from here. */
  covers({ fromMs, untilMs, withStartTimes }: KeptRange): boolean {
    return this.fromMs <= fromMs && this.untilMs >= untilMs && (this.withStartTimes || !withStartTimes);
  }

  isOf(ordinals: Uint32Array): boolean {
    return this.ordinals.length === ordinals.length && this.ordinals.every((ordinal, at) => ordinal === ordinals[at]);
  }

  /** The chunks that are here now, without what lies before or behind the range. */
  *within(range: KeptRange): Generator<Chunk> {
    for (const chunk of this.#chunks.slice()) yield* chunk.within(range);
  }
}

/** What an entry of the keeper takes beside its columns. */
const OWN_BYTES = 1024;

export interface KeptRange {
  readonly fromMs: number;
  readonly untilMs: number;
  readonly withStartTimes: boolean;
}

/** Some of the points that are kept. */
export interface KeptPiece<Chunk> {
  readonly bytes: number;
  readonly chunk: Chunk;
  /** The chunk without what lies before or behind the range; nothing when nothing is left. */
  within(range: KeptRange): Iterable<Chunk>;
}

/** Where a read of a window ends. One that reaches the present moves on with it: what is stored beyond its end is read at once, unless that may be more than the window has. */
export function endOfReading({ fromMs, untilMs }: Pick<KeptRange, 'fromMs' | 'untilMs'>, nowMs: number): number {
  return untilMs + (untilMs - fromMs) >= nowMs ? Number.POSITIVE_INFINITY : untilMs;
}

/** A chunk as it was read, and the times that it reaches from and to. */
export class KeptChunk<Chunk extends PointColumns> implements KeptPiece<Chunk> {
  readonly bytes: number;
  readonly chunk: Chunk;
  readonly #firstMs: number;
  readonly #lastMs: number;

  constructor(chunk: Chunk) {
    const { timesMs } = chunk;
    let firstMs = Number.POSITIVE_INFINITY;
    let lastMs = Number.NEGATIVE_INFINITY;
    for (let row = 0; row < timesMs.length; row++) {
      const timeMs = timesMs[row]!;
      if (timeMs < firstMs) firstMs = timeMs;
      if (timeMs > lastMs) lastMs = timeMs;
    }
    this.chunk = chunk;
    this.#firstMs = firstMs;
    this.#lastMs = lastMs;
    this.bytes = bytesOf(chunk);
  }

  *within(range: KeptRange): Generator<Chunk> {
    if (this.#firstMs > range.untilMs || this.#lastMs < range.fromMs) return;
    const isWhole = this.#firstMs >= range.fromMs && this.#lastMs <= range.untilMs;
    yield isWhole ? this.chunk : cut(this.chunk, range);
  }
}

/** Columns that have no value for each row, but some: those of lists, whose offsets tell which. */
const LISTED: ReadonlySet<string> = new Set([
  'bucketCounts',
  'bounds',
  'positiveCounts',
  'negativeCounts',
  'quantiles',
  'quantileValues',
]);

/** The rows from the first to the last in the range; those between that are not count as of a series that nobody asked for. */
function cut<Chunk extends PointColumns>(chunk: Chunk, range: KeptRange): Chunk {
  const { timesMs } = chunk;
  const isWithin = (row: number): boolean => timesMs[row]! >= range.fromMs && timesMs[row]! <= range.untilMs;
  let from = 0;
  let until = timesMs.length;
  while (from < until && !isWithin(from)) from++;
  while (until > from && !isWithin(until - 1)) until--;
  const columns = Object.entries(chunk).map(([name, column]: [string, Float64Array | undefined]) => {
    if (LISTED.has(name)) return [name, column];
    return [name, column?.subarray(from, name.endsWith('Offsets') ? until + 1 : until)];
  });
  const rows = Object.fromEntries(columns) as Chunk;
  const ordinals = rows.ordinals.slice();
  for (let row = 0; row < ordinals.length; row++) if (!isWithin(from + row)) ordinals[row] = UNKNOWN_ORDINAL;
  return { ...rows, ordinals };
}

/** Columns are views into common memory, which holds little beside them. */
function bytesOf(chunk: PointColumns): number {
  return Object.values(chunk).reduce(
    (sum: number, column) => sum + (ArrayBuffer.isView(column) ? column.byteLength : 0),
    0,
  );
}
