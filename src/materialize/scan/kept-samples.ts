import type { Kept, KeptList } from './kept-list.ts';
import { KeptChunk, endOfReading } from './kept-points.ts';
import { SampleSorter } from './sample-sorter.ts';
import type { SortedSamples } from './sorted-samples.ts';
import type { SampleChunk, SamplesRequest, ScanAnswer } from './types.ts';

type ScanSamples = (request: SamplesRequest) => ScanAnswer<SampleChunk>;

const TABLE = 'samples';

/** Read anew after so many additions: a window that moves on leaves its beginning behind. */
const ADDITIONS_MAX = 64;

/** What is kept of more series than this for each that is asked for is not read for further times: most of it would be in vain. */
const SERIES_FACTOR_MAX = 1.25;

/**
 * Keeps samples of numbers, and reads only what is missing: entries that came since, times before and behind what is kept. Questions for some of the series that are
 * kept are answered from there, and those who ask for the same at a time have it read once.
 */
export class SampleKeeper {
  readonly #list: KeptList;
  readonly #scan: ScanSamples;
  readonly #nowMs: () => number;
  readonly #readings = new Set<Reading>();
  /** What all readings hold that is not sorted yet. */
  #unsortedBytes = 0;

  constructor(list: KeptList, scan: ScanSamples, nowMs: () => number) {
    this.#list = list;
    this.#scan = scan;
    this.#nowMs = nowMs;
  }

  /** One chunk by series and time; more than may be kept comes as it is read. */
  async *read(request: SamplesRequest): ScanAnswer<SampleChunk> {
    for (let hasWaited = false; ; hasWaited = true) {
      const begun = this.#list.begin();
      const untilOffset = this.#list.nextOffset;
      const kept = this.#find(request);
      if (kept !== undefined) {
        yield* this.#readOn(kept, request, untilOffset);
        return;
      }
      const wanted = { ...request, untilMs: endOfReading(request, this.#nowMs()), untilOffset };
      const other = [...this.#readings].find((one) => one.untilOffset >= untilOffset && contains(one, request));
      if (hasWaited || other === undefined) {
        yield* this.#readAnew(wanted, request, begun);
        return;
      }
      // Once: it may come to nothing.
      await unlessAborted(other.over, request.signal);
    }
  }

  /** Those that have all that is asked for first, of these the one of the fewest series. */
  #find(request: SamplesRequest): KeptSamples | undefined {
    const all = (this.#list.of(TABLE) as readonly KeptSamples[]).filter(
      (one) => hasSeries(one, request) && hasStartTimes(one, request),
    );
    for (const one of all) {
      if (one.additions < ADDITIONS_MAX) continue;
      this.#list.drop(one);
      return undefined;
    }
    const fewest = (found: readonly KeptSamples[]): KeptSamples | undefined =>
      found.toSorted((left, right) => left.ordinals.length - right.ordinals.length)[0];
    return (
      fewest(all.filter((one) => contains(one, request))) ??
      fewest(
        all.filter(
          (one) =>
            one.ordinals.length <= SERIES_FACTOR_MAX * request.ordinals.length &&
            one.fromMs <= request.untilMs &&
            one.untilMs >= request.fromMs,
        ),
      )
    );
  }

  /** Reads what is missing, and answers. */
  async *#readOn(kept: KeptSamples, request: SamplesRequest, untilOffset: bigint): ScanAnswer<SampleChunk> {
    const list = this.#list;
    list.keep(kept);
    for (;;) {
      const part = kept.missing(request, endOfReading(request, this.#nowMs()), untilOffset);
      if (part === null) break;
      const { version } = kept;
      const added = await this.#collect({ ...part, signal: request.signal }, kept.bytes);
      if (added === null) {
        list.drop(kept);
        yield* this.#scan({ ...request, untilOffset });
        return;
      }
      // Another reader may have read the same meanwhile: nothing is added twice.
      if (kept.version === version) kept.add(part, added);
    }
    list.trim();
    yield* kept.samples.within(request);
  }

  /** Null when it becomes too much. */
  async #collect(request: SamplesRequest, keptBytes: number): Promise<SortedSamples | null> {
    const sorter = new SampleSorter(request.ordinals, request.withStartTimes);
    for await (const chunk of this.#scan(request)) {
      sorter.add(chunk);
      if (keptBytes + sorter.bytes > this.#list.bytesMax) return null;
    }
    return sorter.sorted();
  }

  async *#readAnew(wanted: WantedSamples, request: SamplesRequest, begun: number): ScanAnswer<SampleChunk> {
    const reading = new Reading(wanted);
    this.#readings.add(reading);
    let sorter: SampleSorter | null = new SampleSorter(wanted.ordinals, wanted.withStartTimes);
    const end = (): void => {
      this.#unsortedBytes -= reading.unsortedBytes;
      reading.unsortedBytes = 0;
      this.#readings.delete(reading);
      reading.end();
    };
    try {
      for await (const chunk of this.#scan(wanted)) {
        if (sorter === null) {
          yield* new KeptChunk(chunk).within(request);
          continue;
        }
        const before = sorter.bytes;
        sorter.add(chunk);
        reading.unsortedBytes += sorter.bytes - before;
        this.#unsortedBytes += sorter.bytes - before;
        if (this.#unsortedBytes <= this.#list.bytesMax) continue;
        const { chunks } = sorter;
        sorter = null;
        end();
        for (const one of chunks) yield* new KeptChunk(one).within(request);
      }
      if (sorter === null) return;
      const kept = new KeptSamples(wanted, sorter.sorted());
      if (this.#list.isCurrent(begun)) this.#keep(kept);
      end();
      yield* kept.samples.within(request);
    } finally {
      end();
    }
  }

  /** In the place of those whose samples it has all. */
  #keep(kept: KeptSamples): void {
    for (const one of this.#list.of(TABLE) as readonly KeptSamples[])
      if (one.untilOffset <= kept.untilOffset && contains(kept, one)) this.#list.drop(one);
    this.#list.keep(kept);
  }
}

type WantedSamples = SamplesRequest & { readonly untilOffset: bigint };

/** Samples of some series in a range of times, and what of them is asked for. */
type SamplesRange = Pick<SamplesRequest, 'ordinals' | 'fromMs' | 'untilMs' | 'withStartTimes'>;

function contains(whole: SamplesRange, part: SamplesRange): boolean {
  return (
    whole.fromMs <= part.fromMs && whole.untilMs >= part.untilMs && hasStartTimes(whole, part) && hasSeries(whole, part)
  );
}

function hasStartTimes(whole: SamplesRange, part: SamplesRange): boolean {
  return whole.withStartTimes || !part.withStartTimes;
}

function hasSeries({ ordinals: whole }: SamplesRange, { ordinals: part }: SamplesRange): boolean {
  if (part.length > whole.length) return false;
  for (let at = 0, slot = 0; at < part.length; at++, slot++) {
    while (slot < whole.length && whole[slot]! < part[at]!) slot++;
    if (slot === whole.length || whole[slot] !== part[at]) return false;
  }
  return true;
}

/** A first read that is under way. */
class Reading implements SamplesRange {
  readonly ordinals: Uint32Array;
  readonly fromMs: number;
  readonly untilMs: number;
  readonly withStartTimes: boolean;
  readonly untilOffset: bigint;
  readonly over: Promise<void>;
  end!: () => void;
  unsortedBytes = 0;

  constructor({ ordinals, fromMs, untilMs, withStartTimes, untilOffset }: WantedSamples) {
    this.ordinals = ordinals;
    this.fromMs = fromMs;
    this.untilMs = untilMs;
    this.withStartTimes = withStartTimes;
    this.untilOffset = untilOffset;
    this.over = new Promise((resolve) => (this.end = resolve));
  }
}

/** All samples of some series in a range of times, of entries below `untilOffset`. */
class KeptSamples implements SamplesRange, Kept {
  readonly table = TABLE;
  readonly withStartTimes: boolean;
  fromMs: number;
  untilMs: number;
  untilOffset: bigint;
  samples: SortedSamples;
  additions = 0;
  /** Another one after each part that was added. */
  version = 0;

  constructor({ fromMs, untilMs, withStartTimes, untilOffset }: WantedSamples, samples: SortedSamples) {
    this.fromMs = fromMs;
    this.untilMs = untilMs;
    this.withStartTimes = withStartTimes;
    this.untilOffset = untilOffset;
    this.samples = samples;
  }

  get ordinals(): Uint32Array {
    return this.samples.ordinals;
  }

  get bytes(): number {
    return OWN_BYTES + this.samples.bytes;
  }

  /** A part to be read before a question can be answered; null: there is none. */
  missing({ fromMs, untilMs }: SamplesRequest, endMs: number, untilOffset: bigint): MissingPart | null {
    const { ordinals, withStartTimes } = this;
    const all = { ordinals, withStartTimes, fromMs: this.fromMs, untilMs: this.untilMs };
    if (this.untilOffset < untilOffset) return { ...all, fromOffset: this.untilOffset, untilOffset };
    // Times are whole milliseconds.
    if (fromMs < this.fromMs)
      return { ...all, fromMs, untilMs: Math.ceil(this.fromMs) - 1, untilOffset: this.untilOffset };
    if (untilMs > this.untilMs)
      return { ...all, fromMs: Math.floor(this.untilMs) + 1, untilMs: endMs, untilOffset: this.untilOffset };
    return null;
  }

  /** Takes a part that was missing. */
  add({ fromOffset, fromMs, untilMs, untilOffset }: MissingPart, added: SortedSamples): void {
    this.version++;
    this.samples = this.samples.with(added);
    if (fromOffset === undefined) {
      this.fromMs = Math.min(this.fromMs, fromMs);
      this.untilMs = Math.max(this.untilMs, untilMs);
    } else if (added.values.timesMs.length > 0) {
      this.additions++;
    }
    this.untilOffset = untilOffset;
  }
}

type MissingPart = SamplesRange & { readonly fromOffset?: bigint; readonly untilOffset: bigint };

/** What an entry takes beside its columns. */
const OWN_BYTES = 1024;

/** Waits for one that never rejects; throws the signal's reason when it is aborted before. */
async function unlessAborted(over: Promise<void>, signal: AbortSignal): Promise<void> {
  let leave!: () => void;
  const aborted = new Promise<void>((resolve) => {
    leave = resolve;
    signal.addEventListener('abort', leave, { once: true });
  });
  await Promise.race([over, aborted]);
  signal.removeEventListener('abort', leave);
  signal.throwIfAborted();
}
