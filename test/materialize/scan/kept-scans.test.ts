/** Goal: whoever reads kept points reads what a scan of the store would give. Method: stores in memory that change between questions, of any order. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createKeptScans } from '../../../src/materialize/scan/kept-scans.ts';
import type { HistogramChunk, MetricScans, SampleChunk, SamplesRequest } from '../../../src/materialize/scan/types.ts';

interface StoredPoint {
  readonly offset: bigint;
  readonly ordinal: number;
  readonly timeMs: number;
  /** Counts of its buckets. */
  readonly buckets: readonly number[];
}

/** Rows as they lie in the tables, and what was asked. */
class FakeStore {
  points: StoredPoint[] = [];
  nextOffset = 0n;
  appended = 0;
  removed = 0;
  readonly asked: SamplesRequest[] = [];

  append(points: readonly Omit<StoredPoint, 'offset'>[]): void {
    const offset = this.nextOffset++;
    this.points.push(...points.map((point) => ({ ...point, offset })));
    this.appended++;
  }

  remove(isKept: (point: StoredPoint) => boolean): void {
    this.points = this.points.filter(isKept);
    this.removed++;
  }

  select({ ordinals, fromMs, untilMs, fromOffset, untilOffset }: SamplesRequest): StoredPoint[] {
    return this.points.filter(
      ({ offset, ordinal, timeMs }) =>
        ordinals.includes(ordinal) &&
        timeMs >= fromMs &&
        timeMs <= untilMs &&
        (fromOffset === undefined || offset >= fromOffset) &&
        (untilOffset === undefined || offset < untilOffset),
    );
  }
}

function scansOf(store: FakeStore, chunkRows = 3): MetricScans {
  async function* histograms(request: SamplesRequest): AsyncGenerator<HistogramChunk> {
    store.asked.push(request);
    const points = store.select(request);
    for (let at = 0; at < points.length; at += chunkRows) yield chunkOf(points.slice(at, at + chunkRows));
  }
  async function* samples(request: SamplesRequest): AsyncGenerator<SampleChunk> {
    for await (const { ordinals, timesMs, flags, counts } of histograms(request))
      yield { ordinals, timesMs, flags, startTimesMs: request.withStartTimes ? timesMs : undefined, values: counts };
  }
  const none = (): never => {
    throw new Error('nobody asks for this');
  };
  return {
    changes: async () => ({ series: [], activity: [], nextOffset: store.nextOffset }),
    forget: () => {},
    histograms,
    samples,
    exponentialHistograms: none,
    summaries: none,
    exemplars: none,
  };
}

const flagsOf = ({ timeMs }: StoredPoint): number => (timeMs % 7 === 0 ? 1 : 0);

function chunkOf(points: readonly StoredPoint[]): HistogramChunk {
  const offsets = [0];
  for (const { buckets } of points) offsets.push(offsets.at(-1)! + buckets.length);
  return {
    ordinals: Uint32Array.from(points, ({ ordinal }) => ordinal),
    timesMs: Float64Array.from(points, ({ timeMs }) => timeMs),
    startTimesMs: undefined,
    flags: Uint32Array.from(points, flagsOf),
    counts: Float64Array.from(points, ({ offset }) => Number(offset)),
    sums: new Float64Array(points.length),
    bucketOffsets: Uint32Array.from(offsets),
    bucketCounts: Float64Array.from(points.flatMap(({ buckets }) => buckets)),
    boundOffsets: new Uint32Array(points.length + 1),
    bounds: new Float64Array(0),
  };
}

/** What a reader makes of an answer, in the order of the tables. */
async function readAll(scans: MetricScans, request: SamplesRequest): Promise<StoredPoint[]> {
  const read: StoredPoint[] = [];
  for await (const { ordinals, timesMs, counts, bucketOffsets, bucketCounts } of scans.histograms(request)) {
    for (const [row, ordinal] of ordinals.entries()) {
      if (!request.ordinals.includes(ordinal)) continue;
      const buckets = [...bucketCounts.subarray(bucketOffsets[row], bucketOffsets[row + 1])];
      read.push({ offset: BigInt(counts[row]!), ordinal, timeMs: timesMs[row]!, buckets });
    }
  }
  return read;
}

/** Rows that count: all of a chunk whose order is not known. */
function countedRows({ ordinals, rows }: SampleChunk): number[] {
  if (rows === undefined) return [...ordinals.keys()];
  return [...rows.ordinals].flatMap((_, slot) =>
    Array.from({ length: rows.until[slot]! - rows.from[slot]! }, (__, at) => rows.from[slot]! + at),
  );
}

/** What a reader of samples makes of an answer: by series and time, of equal times the last. */
async function readSamples(scans: MetricScans, request: SamplesRequest): Promise<string[]> {
  const read = new Map<string, string>();
  for await (const chunk of scans.samples(request)) {
    const { ordinals, timesMs, flags, values, startTimesMs } = chunk;
    assertRowsTold(chunk);
    for (const row of countedRows(chunk)) {
      const ordinal = ordinals[row]!;
      if (!request.ordinals.includes(ordinal)) continue;
      assert.equal(startTimesMs?.[row], request.withStartTimes ? timesMs[row] : startTimesMs?.[row]);
      read.set(`${ordinal} ${timesMs[row]}`, `${ordinal} ${timesMs[row]} ${values[row]} ${flags[row]}`);
    }
  }
  return [...read.values()].sort(byText);
}

/** What a chunk tells of its rows holds for them. */
function assertRowsTold({ rows, ordinals, flags, values }: SampleChunk): void {
  if (rows === undefined) return;
  if (rows.isPlain) assert.ok(values.every((value, row) => flags[row] === 0 && !Number.isNaN(value)));
  for (const [slot, ordinal] of rows.ordinals.entries()) {
    for (let row: number = rows.from[slot]!; row < rows.until[slot]!; row++) {
      assert.equal(ordinals[row], ordinal);
      if (row > rows.from[slot]! && values[row]! < values[row - 1]!) assert.equal(rows.mayFall[slot], 1);
    }
  }
}

function samplesIn(points: readonly StoredPoint[]): string[] {
  const last = new Map(
    points.map((one) => [`${one.ordinal} ${one.timeMs}`, `${one.ordinal} ${one.timeMs} ${one.offset} ${flagsOf(one)}`]),
  );
  return [...last.values()].sort(byText);
}

const byText = (left: string, right: string): number => (left < right ? -1 : 1);

const signal = new AbortController().signal;
const NOW_MS = 50;

function request(ordinals: readonly number[], fromMs: number, untilMs: number): SamplesRequest {
  return { ordinals: Uint32Array.from(ordinals), fromMs, untilMs, withStartTimes: false, signal };
}

function keptScans(store: FakeStore, bytesMax?: number): MetricScans {
  const see = () => ({ appended: store.appended, removed: store.removed });
  return createKeptScans(scansOf(store), { see, nowMs: () => NOW_MS, ...(bytesMax === undefined ? {} : { bytesMax }) });
}

const point = fc.record({
  ordinal: fc.nat(4),
  timeMs: fc.nat(60),
  buckets: fc.array(fc.nat(9), { maxLength: 3 }),
});
const question = fc.record({
  ordinals: fc.uniqueArray(fc.nat(4), { minLength: 1 }),
  fromMs: fc.nat(60),
  lengthMs: fc.nat(60),
});
const step = fc.oneof(
  fc.record({ append: fc.array(point, { maxLength: 8 }) }),
  fc.record({ removeBeforeMs: fc.nat(40) }),
  fc.record({ together: fc.array(question, { minLength: 1, maxLength: 4 }) }),
  fc.record({ together: fc.array(question, { minLength: 1, maxLength: 1 }) }),
);

test('kept points are those of the store, whatever comes and goes between questions', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), fc.constantFrom(4_000, 1_000_000), async (steps, bytesMax) => {
      const store = new FakeStore();
      const scans = keptScans(store, bytesMax);
      for (const one of steps) {
        if ('append' in one) store.append(one.append);
        else if ('removeBeforeMs' in one) store.remove(({ timeMs }) => timeMs >= one.removeBeforeMs);
        else {
          await scans.changes(signal);
          await Promise.all(one.together.map((asked) => assertAnswer(store, scans, asked)));
        }
      }
    }),
  );
});

async function assertAnswer(
  store: FakeStore,
  scans: MetricScans,
  { ordinals, fromMs, lengthMs }: { ordinals: number[]; fromMs: number; lengthMs: number },
): Promise<void> {
  const asked = request(
    ordinals.toSorted((left, right) => left - right),
    fromMs,
    fromMs + lengthMs,
  );
  assert.deepEqual(await readAll(scans, asked), store.select(asked));
  const samples = { ...asked, withStartTimes: lengthMs % 2 === 0 };
  assert.deepEqual(await readSamples(scans, samples), samplesIn(store.select(asked)));
}

test('a question within what is kept asks the store for nothing, and after more came for that alone', async () => {
  const store = new FakeStore();
  const scans = keptScans(store);
  store.append([{ ordinal: 1, timeMs: 40, buckets: [1] }]);
  await scans.changes(signal);
  assert.equal((await readAll(scans, request([1], 0, 45))).length, 1);
  assert.equal((await readAll(scans, request([1], 10, 44))).length, 1);
  assert.equal(store.asked.length, 1);
  store.append([{ ordinal: 1, timeMs: 47, buckets: [2] }]);
  await scans.changes(signal);
  assert.deepEqual(
    (await readAll(scans, request([1], 5, 50))).map(({ timeMs }) => timeMs),
    [40, 47],
  );
  assert.deepEqual(
    store.asked.map(({ fromOffset, untilOffset }) => [fromOffset, untilOffset]),
    [
      [undefined, 1n],
      [1n, 2n],
    ],
  );
});

test('kept samples come as one chunk by series and time', async () => {
  const store = new FakeStore();
  const scans = keptScans(store);
  const times = [30, 10, 20, 10, 40];
  for (const timeMs of times) store.append([2, 1].map((ordinal) => ({ ordinal, timeMs, buckets: [] })));
  await scans.changes(signal);
  const asked = request([1, 2], 0, 45);
  await readSamples(scans, asked);
  const columns = async (part: SamplesRequest) => {
    const read: (readonly (readonly number[])[])[] = [];
    for await (const chunk of scans.samples(part)) {
      const rows = countedRows(chunk);
      read.push([chunk.ordinals, chunk.timesMs, chunk.values].map((column) => rows.map((row) => column[row]!)));
    }
    return read;
  };
  assert.deepEqual(await columns(asked), [
    [
      [1, 1, 1, 1, 2, 2, 2, 2],
      [10, 20, 30, 40, 10, 20, 30, 40],
      [3, 2, 0, 4, 3, 2, 0, 4],
    ],
  ]);
  assert.deepEqual(await columns(request([1, 2], 15, 30)), [
    [
      [1, 1, 2, 2],
      [20, 30, 20, 30],
      [2, 0, 2, 0],
    ],
  ]);
  assert.deepEqual(await columns(request([1, 2], 31, 39)), []);
});

test('samples of some of the series that are kept are not read again, nor those of other times beside them', async () => {
  const store = new FakeStore();
  const scans = keptScans(store);
  for (let timeMs = 0; timeMs < 30; timeMs++)
    store.append([1, 2, 3].map((ordinal) => ({ ordinal, timeMs, buckets: [] })));
  await scans.changes(signal);
  const assertRead = async (asked: SamplesRequest): Promise<void> =>
    assert.deepEqual(await readSamples(scans, asked), samplesIn(store.select(asked)));
  await assertRead(request([1, 2, 3], 10, 15));
  await assertRead(request([2], 11, 15));
  await assertRead(request([1, 3], 10, 14));
  assert.equal(store.asked.length, 1);
  await assertRead(request([1, 2, 3], 5, 18));
  assert.deepEqual(
    store.asked.slice(1).map(({ fromMs, untilMs }) => [fromMs, untilMs]),
    [
      [5, 9],
      [16, 18],
    ],
  );
  // Of one series much more: it is read for itself.
  await assertRead(request([1], 0, 20));
  assert.deepEqual([...store.asked.at(-1)!.ordinals], [1]);
  const { length } = store.asked;
  await assertRead(request([1, 2, 3], 5, 18));
  assert.equal(store.asked.length, length);
});

test('several who ask for the same at a time have it read once, and by another where the first leaves', async () => {
  const store = new FakeStore();
  const scans = keptScans(store);
  for (let timeMs = 0; timeMs < 9; timeMs++) store.append([{ ordinal: 1, timeMs, buckets: [] }]);
  await scans.changes(signal);
  const asked = request([1], 0, 8);
  const expected = samplesIn(store.select(asked));
  assert.deepEqual(await Promise.all([1, 2, 3].map(() => readSamples(scans, asked))), [expected, expected, expected]);
  assert.equal(store.asked.length, 1);
  const leaving = new AbortController();
  const left = scansOf(store);
  const breaking = createKeptScans(
    {
      ...left,
      async *samples(one) {
        for await (const chunk of left.samples(one)) {
          await new Promise((resolve) => setImmediate(resolve));
          one.signal.throwIfAborted();
          yield chunk;
        }
      },
    },
    { see: () => ({ appended: 0, removed: 0 }), nowMs: () => NOW_MS },
  );
  await breaking.changes(signal);
  const first = assert.rejects(readSamples(breaking, { ...asked, signal: leaving.signal }), /gone/);
  const second = readSamples(breaking, asked);
  leaving.abort(new Error('The first one is gone'));
  await first;
  assert.deepEqual(await second, expected);
});

test('what was read before all series were forgotten is not kept', async () => {
  const store = new FakeStore();
  const scans = keptScans(store);
  store.append([{ ordinal: 1, timeMs: 1, buckets: [1] }]);
  await scans.changes(signal);
  for await (const { ordinals } of scans.histograms(request([1], 0, 8))) if (ordinals.length > 0) scans.forget();
  await readAll(scans, request([1], 0, 8));
  assert.equal(store.asked.length, 2);
});

test('points that came behind the last look at changes wait for the next', async () => {
  const store = new FakeStore();
  const scans = keptScans(store);
  store.append([{ ordinal: 1, timeMs: 1, buckets: [] }]);
  await scans.changes(signal);
  store.append([{ ordinal: 1, timeMs: 2, buckets: [] }]);
  assert.equal((await readAll(scans, request([1], 0, 45))).length, 1);
  await scans.changes(signal);
  assert.equal((await readAll(scans, request([1], 0, 45))).length, 2);
});

test('two who ask for the same at a time add what came once', async () => {
  const store = new FakeStore();
  const scans = keptScans(store);
  store.append([{ ordinal: 1, timeMs: 1, buckets: [] }]);
  await scans.changes(signal);
  await readAll(scans, request([1], 0, 45));
  store.append([{ ordinal: 1, timeMs: 2, buckets: [] }]);
  await scans.changes(signal);
  const answers = await Promise.all([1, 2, 3].map(() => readAll(scans, request([1], 0, 45))));
  assert.deepEqual(
    answers.map(({ length }) => length),
    [2, 2, 2],
  );
  assert.equal((await readAll(scans, request([1], 0, 45))).length, 2);
});

test('an answer that was left early is not kept', async () => {
  const store = new FakeStore();
  const scans = keptScans(store);
  store.append(Array.from({ length: 9 }, (_, at) => ({ ordinal: 1, timeMs: at, buckets: [] })));
  await scans.changes(signal);
  for await (const chunk of scans.histograms(request([1], 0, 45))) if (chunk.ordinals.length > 0) break;
  assert.equal((await readAll(scans, request([1], 0, 45))).length, 9);
});

test('an answer that broke off, or during which the tables were replaced, is not kept', async () => {
  const store = new FakeStore();
  const inner = scansOf(store);
  let onFirstChunk: (() => void) | null = null;
  const see = () => ({ appended: store.appended, removed: store.removed });
  const scans = createKeptScans(
    {
      ...inner,
      async *histograms(asked) {
        for await (const chunk of inner.histograms(asked)) {
          yield chunk;
          onFirstChunk?.();
        }
      },
    },
    { see, nowMs: () => NOW_MS },
  );
  store.append(Array.from({ length: 9 }, (_, at) => ({ ordinal: 1, timeMs: at, buckets: [at] })));
  await scans.changes(signal);
  onFirstChunk = () => {
    throw new Error('The engine is gone');
  };
  await assert.rejects(readAll(scans, request([1], 0, 45)), /The engine is gone/);
  onFirstChunk = () => {
    onFirstChunk = null;
    store.remove(({ timeMs }) => timeMs > 4);
  };
  assert.equal((await readAll(scans, request([1], 0, 45))).length, 9);
  await scans.changes(signal);
  assert.deepEqual(
    (await readAll(scans, request([1], 0, 45))).map(({ timeMs }) => timeMs),
    [5, 6, 7, 8],
  );
});
