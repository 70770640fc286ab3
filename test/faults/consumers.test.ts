/**
 * Goal: a consumer of the log that is where the log is not (below its start, beyond its end, of another log), or that reads slowly, gets an
 * explicit error or a counted skip, and holds up nothing beyond its policy. Row 23 of the fault tests.
 * Method: a real log with real retention and real DuckDB tables. Segments are deleted under the materializer while it reads, at seeded
 * frames, and between two starts; tables meet an older copy of their log and another log; readers are opened out of range; 50 slow readers and
 * holds of both policies stand beside a log that takes entries and deletes. See also test/log/retention.test.ts (one consumer at a time),
 * test/log/simulation (holds among all faults) and test/materialize/engine.test.ts (positions that no log has).
 * Invariant: each offset is in the tables once, or in one counted range that is lost; what was decoded is committed; a reader sees each
 * entry in order, or an error that names where the log begins; no more is kept than bytes, one segment and holds of policy `hold` explain.
 */
import assert from 'node:assert/strict';
import { cpSync, readdirSync, readlinkSync, rmSync, unlinkSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { type Logger, OffsetOutOfRangeError, silentLogger, systemClock } from '../../src/base/index.ts';
import {
  type Log,
  type LogReader,
  openLog,
  openLogReader,
  readEntries,
  type RetainedLog,
} from '../../src/log/index.ts';
import { openCheckpoints } from '../../src/materialize/checkpoint.ts';
import { createFailedRange } from '../../src/materialize/failed-range.ts';
import { noLostOffsets } from '../../src/materialize/lost-offsets.ts';
import { createMaterializer } from '../../src/materialize/materializer.ts';
import type { MaterializerCounters } from '../../src/materialize/materializer-counters.ts';
import { migrate } from '../../src/materialize/migrator.ts';
import { openQuarantine } from '../../src/materialize/quarantine.ts';
import type { Engine, EngineStatus } from '../../src/materialize/types.ts';
import {
  appendCapture,
  durableOf,
  engineRows,
  engineUntil,
  openTestLog,
  startTestEngine,
} from '../helpers/engine-log.ts';
import { type Random, seededRandom } from '../helpers/random.ts';
import { scratchDirectory } from '../helpers/server-process.ts';
import {
  decodeSmallOtlp,
  smallDecoder,
  smallMigrations,
  smallProjection,
  smallStore,
} from '../helpers/small-engine.ts';

const SEED = Number(process.env['TREASURY_TEST_SEED'] ?? 20_261_122);
const RUNS = Number(process.env['TREASURY_TEST_ROUNDS'] ?? 16);
const SLOW_READERS = 50;
/** Deleted files that the system keeps for whoever has them open. */
const DESCRIPTORS = '/proc/self/fd';
const SMALL_SEGMENTS = {
  segmentBytesMax: 3_000,
  frameEntriesMax: 2,
  diskReserveBytes: 0,
  retentionIntervalMs: 1e9,
  // Dozens of segments are written at once: a busy machine takes longer than a sender would wait.
  appendWaitMaxMs: 60_000,
};
const NEVER_MS = 1e9;
const COUNT = 'SELECT count(*) FROM logs';

const migrations = await smallMigrations(await mkdtemp(join(tmpdir(), 'treasury-consumers-')), [
  smallProjection('logs'),
]);
after(() => rm(migrations, { recursive: true }));

test(`segments deleted while they are materialized are lost by name, and what was decoded is committed (seed ${SEED})`, async (t) => {
  let losses = 0;
  let openLosses = 0;
  for (let run = 0; run < RUNS; run++) {
    const seed = SEED + run;
    const found = await overtake(scratchDirectory(t), seededRandom(seed));
    const { end, read, rows, counters, warned, stuck } = found;
    const where = `seed ${seed}`;
    assert.equal(stuck, null, where);
    assert.deepEqual(rows, [...read].sort(order), `${where}: rows of what was decoded, each once`);
    const { total, newest } = counters.lost;
    const missing = Array.from({ length: Number(end) }, (_, offset) => BigInt(offset)).filter((at) => !read.has(at));
    const lost = newest
      .toReversed()
      .flatMap(({ from, to }) => Array.from({ length: Number(to - from) }, (_, i) => from + BigInt(i)));
    assert.deepEqual(lost, missing, `${where}: what is neither in the tables nor lost by name, or both`);
    assert.equal(total, BigInt(missing.length), where);
    assert.equal(
      warned.reduce((sum, { offsets }) => sum + offsets, 0n),
      total,
      `${where}: logged`,
    );
    losses += newest.length;
    openLosses += found.overtakenInTransaction;
  }
  t.diagnostic(`${losses} ranges lost, ${openLosses} of them with rows not yet committed`);
  assert.ok(losses > RUNS / 2 && openLosses > RUNS / 4, 'retention overtook too seldom to mean something');
});

interface Overtaken {
  readonly end: bigint;
  readonly read: ReadonlySet<bigint>;
  readonly rows: readonly bigint[];
  readonly counters: MaterializerCounters;
  readonly warned: readonly { readonly offsets: bigint }[];
  readonly stuck: string | null;
  readonly overtakenInTransaction: number;
}

/** Materializes a log whose oldest segments go while it is read, as retention deletes them. */
async function overtake(directory: string, random: Random): Promise<Overtaken> {
  const log = await openLog({ directory, limits: SMALL_SEGMENTS });
  await Promise.all(Array.from({ length: 20 + random.below(40) }, () => appendSmall(log)));
  const { uuid, durableOffset: end } = log.status();
  const durable = durableOf(log.status());
  await log.close();
  const store = await smallStore(':memory:');
  try {
    await migrate(store, migrations);
    const [checkpoint] = await openCheckpoints(store, [smallProjection('logs')], uuid);
    const projector = await checkpoint!.definition.start({
      openWriter: () => Promise.reject(new Error('Small projections write with SQL')),
      run: (sql) => store.run(sql),
      rows: (sql) => store.rows(sql),
    });
    const counters: MaterializerCounters = {
      commits: 0,
      rowsWritten: 0,
      entriesDecoded: 0,
      repairedStrings: 0,
      lastCommitMs: 0,
      lost: noLostOffsets(),
      projectionRows: new Map(),
    };
    const read = new Set<bigint>();
    const warned: { offsets: bigint }[] = [];
    const refusals: string[] = [];
    let isDrained = false;
    let overtakenInTransaction = 0;
    const materializer = createMaterializer({
      database: store,
      openReader(from, bound) {
        deleteOldest(directory, random);
        const reader = openLogReader({ directory, from, durable: bound });
        return watched(reader, {
          before: () => deleteOldest(directory, random),
          isOut() {
            if (read.size > 0 && counters.entriesDecoded < read.size) overtakenInTransaction++;
          },
          onEntry: (offset) => read.add(offset),
          onEnd() {
            isDrained = true;
          },
        });
      },
      projections: [{ checkpoint: checkpoint!, projector }],
      createDecoder: smallDecoder,
      decodeOtlp: decodeSmallOtlp,
      quarantine: await openQuarantine(store),
      failedRange: createFailedRange(),
      counters,
      durable,
      logger: {
        ...silentLogger,
        warn: (_message, fields) => warned.push(fields as { offsets: bigint }),
        error: (message, fields) => refusals.push(`${message} ${JSON.stringify(fields)}`),
      },
      clock: systemClock,
      commitRowsMax: random.pick([3, 1_000, 1_000]),
      commitIntervalMs: NEVER_MS,
    });
    const running = materializer.run();
    while (!isDrained && refusals.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    materializer.stop();
    await running;
    const rows = await store.rows('SELECT entry_offset FROM store.logs_v1 ORDER BY ALL');
    return {
      end,
      read,
      rows: rows.map((row) => BigInt(row['entry_offset'] as bigint)),
      counters,
      warned,
      stuck: refusals[0] ?? materializer.stuck,
      overtakenInTransaction,
    };
  } finally {
    await store.close();
  }
}

interface Watch {
  before(): void;
  isOut(): void;
  onEntry(offset: bigint): void;
  onEnd(): void;
}

function watched(reader: LogReader, { before, isOut, onEntry, onEnd }: Watch): LogReader {
  return {
    get skipped() {
      return reader.skipped;
    },
    advance: (position) => reader.advance(position),
    close: () => reader.close(),
    nextFrame() {
      before();
      try {
        const frame = reader.nextFrame();
        for (const { offset } of frame ?? []) onEntry(offset);
        if (frame === null) onEnd();
        return frame;
      } catch (error) {
        isOut();
        throw error;
      }
    },
  };
}

/** Now and then some of the oldest segments go, never the last. */
function deleteOldest(directory: string, random: Random): void {
  if (random.below(5) > 0) return;
  const names = segmentNames(directory);
  for (const name of names.slice(0, Math.min(names.length - 1, 1 + random.below(4)))) unlinkSync(join(directory, name));
}

test('tables that were off while retention deleted skip what is gone, count it and keep what they have', async (t) => {
  const directory = scratchDirectory(t);
  const before = await openTestLog(directory, { segmentBytesMax: 20_000 });
  await appendCapture(before, 'rich-1');
  const first = await startTestEngine(directory, before.status());
  const { materializedOffset: materialized } = await caughtUp(first, before);
  const [kept] = await engineRows(first, COUNT);
  await first.stop();
  await appendCapture(before, 'odd-1');
  await appendCapture(before, 'rich-1');
  const { bytes } = before.status();
  await before.close();
  const log = await openLog({
    directory: join(directory, 'log'),
    limits: { segmentBytesMax: 20_000, diskReserveBytes: 0, retentionIntervalMs: NEVER_MS },
    retention: { ageMaxMs: null, bytesMax: Math.round(bytes / 3) },
  });
  t.after(() => log.close());
  await log.sweep();
  const { firstOffset, durableOffset } = log.status();
  assert.ok(
    firstOffset > materialized && firstOffset < durableOffset,
    `${materialized}, ${firstOffset}, ${durableOffset}`,
  );
  const logger = recordingLogger();
  const engine = await startTestEngine(directory, log.status(), logger);
  t.after(() => engine.stop());
  const { lost, quarantinedTotal, stuck } = await caughtUp(engine, log);
  const range = { from: materialized, to: firstOffset };
  assert.deepEqual(lost, { total: firstOffset - materialized, newest: [range] });
  assert.deepEqual([quarantinedTotal, stuck], [0, null]);
  assert.deepEqual(
    logger.lines.filter(([message]) => message.includes('gone from the log')),
    [['Older entries are gone from the log, going on behind them', { ...range, offsets: lost.total }]],
  );
  assert.deepEqual(await engineRows(engine, `${COUNT} WHERE entry_offset < ${firstOffset}`), [kept]);
  const [[newer]] = (await engineRows(engine, `${COUNT} WHERE entry_offset >= ${firstOffset}`)) as [[string]];
  assert.ok(Number(newer) > 0);
});

test('tables ahead of their log, or of another log, are moved aside by name and built from the log that is there', async (t) => {
  const directory = scratchDirectory(t);
  const older = join(scratchDirectory(t), 'log');
  let log = await openTestLog(directory);
  await appendCapture(log, 'odd-1');
  await log.close();
  cpSync(join(directory, 'log'), older, { recursive: true });
  log = await openTestLog(directory);
  await appendCapture(log, 'rich-1');
  const engine = await startTestEngine(directory, log.status());
  await caughtUp(engine, log);
  await engine.stop();
  await log.close();

  const other = scratchDirectory(t);
  const foreign = await openTestLog(other);
  await appendCapture(foreign, 'odd-1');
  await foreign.close();
  for (const [source, reason] of [
    [older, /is at offset \d+, the log ends at \d+/],
    [join(other, 'log'), /was built from log [-0-9a-f]+, this log is [-0-9a-f]+/],
  ] as const) {
    rmSync(join(directory, 'log'), { recursive: true });
    cpSync(source, join(directory, 'log'), { recursive: true });
    log = await openTestLog(directory);
    const end = log.status().durableOffset;
    const logger = recordingLogger();
    const again = await startTestEngine(directory, log.status(), logger);
    await caughtUp(again, log);
    assert.match(
      JSON.stringify(logger.lines, (_key, value: unknown) => (typeof value === 'bigint' ? `${value}` : value)),
      reason,
    );
    const [[rows, beyond]] = (await engineRows(
      again,
      `SELECT count(*), count(*) FILTER (entry_offset >= ${end}) FROM logs`,
    )) as [[string, string]];
    assert.ok(Number(rows) > 0);
    assert.equal(Number(beyond), 0);
    assert.deepEqual((await again.status()).lost, { total: 0n, newest: [] });
    await again.stop();
    await log.close();
  }
  assert.equal(readdirSync(join(directory, 'tables')).filter((name) => name.includes('.stale-')).length, 2);
});

test('reader from below the start or beyond the end is refused with both bounds, at the end it waits', async (t) => {
  const directory = scratchDirectory(t);
  const log = await openLog({ directory, limits: SMALL_SEGMENTS, retention: { ageMaxMs: null, bytesMax: 7_000 } });
  await Promise.all(Array.from({ length: 40 }, () => appendSmall(log)));
  await log.sweep();
  const { firstOffset, durableOffset } = log.status();
  const durable = durableOf(log.status());
  assert.ok(firstOffset > 0n);
  for (const from of [0n, firstOffset - 1n, durableOffset + 1n, 2n ** 60n]) {
    const isRefused = (error: unknown): boolean => {
      assert.ok(error instanceof OffsetOutOfRangeError);
      const facts = { requested: `${from}`, firstOffset: `${firstOffset}`, nextOffset: `${durableOffset}` };
      assert.deepEqual({ ...error.facts }, facts);
      return true;
    };
    assert.throws(() => openLogReader({ directory, from, durable }), isRefused);
    assert.throws(() => [...readEntries(directory, { from })], isRefused);
  }
  const reader = openLogReader({ directory, from: durableOffset, durable });
  while (reader.nextFrame() !== null);
  await appendSmall(log);
  reader.advance(durableOf(log.status()));
  assert.equal(reader.nextFrame()?.at(-1)?.offset, durableOffset);
  reader.close();
  await log.close();
});

test(`${SLOW_READERS} slow readers and a consumer that may be passed over keep nothing, one that may not keeps what it needs (seed ${SEED})`, async (t) => {
  const random = seededRandom(SEED);
  const directory = scratchDirectory(t);
  const bytesMax = 20_000;
  const log = await openLog({ directory, limits: SMALL_SEGMENTS, retention: { ageMaxMs: null, bytesMax } });
  t.after(() => log.close());
  const readers = Array.from({ length: SLOW_READERS }, () => new SlowReader(directory));
  t.after(() => readers.forEach((reader) => reader.close()));
  log.hold('droppable', { offset: 0n, policy: 'drop' });
  let held: bigint | null = null;
  let hold: ReturnType<RetainedLog['hold']> | null = null;
  let mostBytes = 0;
  for (let round = 0; round < 240; round++) {
    await appendSmall(log);
    if (round === 100) {
      held = log.status().firstOffset;
      hold = log.hold('needed', { offset: held, policy: 'hold' });
    }
    if (round === 160) {
      hold!.release();
      held = null;
    }
    await log.sweep();
    const { bytes, firstOffset } = log.status();
    if (held === null)
      assert.ok(bytes <= bytesMax + 2 * SMALL_SEGMENTS.segmentBytesMax, `${bytes} bytes in round ${round}`);
    else assert.ok(firstOffset <= held, `offset ${held} is needed, the log begins at ${firstOffset}`);
    mostBytes = Math.max(mostBytes, bytes);
    random.pick(readers).step(log);
    if (existsDescriptors())
      assert.ok(deletedFiles(directory) <= SLOW_READERS, 'a reader keeps one deleted file open at most');
  }
  assert.ok(mostBytes > 2 * bytesMax, `the hold was put to the test: ${mostBytes} bytes`);
  const [droppable] = log.status().retention.holds;
  assert.deepEqual(droppable, {
    name: 'droppable',
    policy: 'drop',
    offset: 0n,
    passedEntries: log.status().firstOffset,
  });
  for (const reader of readers) reader.finish(log);
  const out = readers.filter(({ lost }) => lost > 0n).length;
  t.diagnostic(`${out} of ${SLOW_READERS} readers were out of range, at most ${mostBytes} bytes`);
  assert.ok(out > SLOW_READERS / 2, 'too few readers were slow');
});

/** Reads a frame now and then; goes on where the log says that it begins. */
class SlowReader {
  lost = 0n;
  readonly #directory: string;
  #reader: LogReader | null = null;
  #next = 0n;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Returns whether there is more. */
  step(log: RetainedLog): boolean {
    const durable = durableOf(log.status());
    try {
      this.#reader ??= openLogReader({ directory: this.#directory, from: this.#next, durable });
      this.#reader.advance(durable);
      const frame = this.#reader.nextFrame();
      assert.deepEqual(this.#reader.skipped, [], 'nothing is passed by silently');
      for (const { offset } of frame ?? []) {
        if (offset < this.#next) continue;
        assert.equal(offset, this.#next);
        this.#next = offset + 1n;
      }
      return frame !== null;
    } catch (error) {
      if (!(error instanceof OffsetOutOfRangeError)) throw error;
      const firstOffset = BigInt(error.facts['firstOffset']!);
      assert.ok(firstOffset > this.#next, `read from ${this.#next}, told that the log begins at ${firstOffset}`);
      this.lost += firstOffset - this.#next;
      this.#next = firstOffset;
      this.close();
      return true;
    }
  }

  finish(log: RetainedLog): void {
    while (this.step(log));
    assert.equal(this.#next, log.status().durableOffset);
  }

  close(): void {
    this.#reader?.close();
    this.#reader = null;
  }
}

/** What is durable now is in the tables. */
async function caughtUp(engine: Engine, log: Log): Promise<EngineStatus> {
  const { durableOffset } = log.status();
  engine.advance(durableOf(log.status()));
  return engineUntil(engine, ({ materializedOffset }) => materializedOffset >= durableOffset);
}

async function appendSmall(log: RetainedLog): Promise<void> {
  const record = [Buffer.from(JSON.stringify({ rows: 1, pad: 'x'.repeat(200) }))];
  await log.appendOtlp(1, { batchId: 0n, record });
}

function segmentNames(directory: string): string[] {
  return readdirSync(directory)
    .filter((name) => name.endsWith('.arrows'))
    .sort();
}

function existsDescriptors(): boolean {
  return process.platform === 'linux';
}

function deletedFiles(directory: string): number {
  return readdirSync(DESCRIPTORS).filter((name) => {
    try {
      const target = readlinkSync(join(DESCRIPTORS, name));
      return target.startsWith(directory) && target.endsWith(' (deleted)');
    } catch {
      return false;
    }
  }).length;
}

function recordingLogger(): Logger & { readonly lines: [string, unknown][] } {
  const lines: [string, unknown][] = [];
  return { ...silentLogger, lines, warn: (message, fields) => void lines.push([message, fields]) };
}

function order(a: bigint, b: bigint): number {
  return a < b ? -1 : Number(a > b);
}
