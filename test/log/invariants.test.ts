/**
 * Goal: the invariants I1 to I7 of the log (ARCHITECTURE) hold whatever streams, segments, faults and restarts come together.
 * Method: generated scripts of what senders do, run against real files (I1, I2, I6, I7) or a disk that fails and loses power (I3, I4, I5).
 */
import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  ENTRY_KINDS,
  findDurablePosition,
  type Log,
  type LogEntry,
  openLog,
  openLogReader,
  verifyLog,
} from '../../src/log/index.ts';
import { readIndex, rebuildIndex } from '../../src/log/offline.ts';
import {
  applyMessages,
  decodeSegments,
  drain,
  makeScratch,
  readAll,
  record,
  SMALL_LIMITS,
  stateText,
  update,
} from './log-helpers.ts';
import { type Fault, MemoryFileSystem, type Operation } from './memory-file-system.ts';

type Step =
  | { readonly type: 'append'; readonly stream: number; readonly updates: readonly string[] }
  | { readonly type: 'absorb'; readonly stream: number; readonly updates: readonly string[] }
  | { readonly type: 'otlp' | 'settle' | 'reopen' }
  | { readonly type: 'close'; readonly stream: number };

const STREAMS = 3;
const RUNS = 30;

const stream = fc.nat(STREAMS - 1);
const updates = fc.array(
  fc.oneof(
    fc.constantFrom('S0', 'S1'),
    fc
      .tuple(fc.constantFrom('D', 'd', 'd', 'd'), fc.nat(1), fc.constantFrom('a', 'b', 'c'))
      .map(([kind, id, text]) => `${kind}${id}=${text}`),
  ),
  { maxLength: 3 },
);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ type: fc.constant('append' as const), stream, updates }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('absorb' as const), stream, updates }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constantFrom('otlp' as const, 'settle' as const) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('close' as const), stream }) },
);
const reopen: fc.Arbitrary<Step> = fc.record({ type: fc.constant('reopen' as const) });
const script = fc.array(fc.oneof({ weight: 12, arbitrary: step }, { weight: 1, arbitrary: reopen }), { maxLength: 60 });

interface Outcome {
  readonly log: Log;
  /** Body of every acknowledged entry by its offset, with the state that its decoder must know. */
  readonly acked: Map<bigint, { body: string; state: string }>;
  /** Bodies that were refused. */
  readonly refused: Set<string>;
}

/** Runs a script; the log is left open. */
async function run(steps: readonly Step[], open: () => Promise<Log>): Promise<Outcome> {
  let log = await open();
  const acked = new Map<bigint, { body: string; state: string }>();
  const refused = new Set<string>();
  const pending: Promise<void>[] = [];
  let streams: ({ stream: ReturnType<Log['openStream']>; state: Map<string, string[]> } | null)[] = [];
  const streamAt = (i: number) => (streams[i] ??= { stream: log.openStream(1), state: new Map() });
  const track = (promise: Promise<{ offset: bigint }>, body: string, state: string) => {
    pending.push(
      promise.then(
        ({ offset }) => {
          assert.ok(!acked.has(offset), `offset ${offset} was given out twice`);
          assert.ok(offset < log.status().durableOffset, 'acknowledged above the durable offset');
          acked.set(offset, { body, state });
        },
        () => {
          refused.add(body);
        },
      ),
    );
  };
  for (const [i, step] of steps.entries()) {
    const body = `body ${i}`;
    if (step.type === 'append') {
      const { stream, state } = streamAt(step.stream);
      applyMessages(state, step.updates);
      const options = {
        batchId: BigInt(i),
        record: record(step.updates, body),
        stateUpdates: step.updates.map(update),
      };
      track(stream.append(options), body, stateText(state));
    } else if (step.type === 'absorb') {
      const { stream, state } = streamAt(step.stream);
      applyMessages(state, step.updates);
      stream.absorb(step.updates.map(update));
    } else if (step.type === 'close') {
      streams[step.stream]?.stream.close();
      streams[step.stream] = null;
    } else if (step.type === 'otlp') {
      track(log.appendOtlp(1, { batchId: 0n, record: [Buffer.from(`|${body}`)] }), body, '');
    } else {
      await Promise.all(pending.splice(0));
      if (step.type === 'settle') continue;
      await log.close();
      log = await open();
      streams = [];
    }
  }
  await Promise.all(pending);
  return { log, acked, refused };
}

function checkAcked(entries: readonly LogEntry[], acked: Outcome['acked']): void {
  const decoded = new Map(decodeSegments(entries).map(({ offset, state, body }) => [offset, { body, state }]));
  for (const entry of entries) {
    if (entry.kind === ENTRY_KINDS.OTLP) {
      decoded.set(entry.offset, { body: Buffer.from(entry.record).toString().slice(1), state: '' });
    }
  }
  for (const [offset, expected] of acked) assert.deepEqual(decoded.get(offset), expected, `offset ${offset}`);
}

/** Runs a property on real files. */
function onFiles(check: (directory: string, steps: readonly Step[]) => Promise<void>): Promise<void> {
  return fc.assert(
    fc.asyncProperty(script, async (steps) => {
      const directory = makeScratch();
      try {
        await check(directory, steps);
      } finally {
        rmSync(directory, { recursive: true, force: true });
      }
    }),
    { numRuns: RUNS },
  );
}

test('I1: every BAR decodes from entries of its own segment at offsets up to its own', () =>
  onFiles(async (directory, steps) => {
    const { log, acked } = await run(steps, () => openLog({ directory, limits: SMALL_LIMITS }));
    await log.close();
    checkAcked(readAll(log, directory), acked);
  }));

test('I2: offsets are contiguous and never reused', () =>
  onFiles(async (directory, steps) => {
    const { log, acked } = await run(steps, () => openLog({ directory, limits: SMALL_LIMITS }));
    await log.close();
    const offsets = readAll(log, directory).map(({ offset }) => offset);
    assert.deepEqual(
      offsets,
      offsets.map((_, i) => BigInt(i)),
    );
    assert.deepEqual(log.status().gaps, []);
    for (const offset of acked.keys()) assert.ok(offset < BigInt(offsets.length));
    assert.deepEqual(verifyLog(directory), []);
  }));

test('I6: the index equals one that is rebuilt from the segments, row for row', () =>
  onFiles(async (directory, steps) => {
    const { log } = await run(steps, () => openLog({ directory, limits: SMALL_LIMITS }));
    await log.close();
    assert.deepEqual(readIndex(directory), rebuildIndex(directory));
    rmSync(join(directory, 'index.sqlite'));
    const again = await openLog({ directory });
    const { durableOffset, gaps } = again.status();
    assert.deepEqual([durableOffset, gaps], [log.status().durableOffset, []]);
    await again.close();
    assert.deepEqual(readIndex(directory), rebuildIndex(directory));
  }));

test('I7: deleting any prefix of segments leaves the rest replayable', () =>
  onFiles(async (directory, steps) => {
    const { log, acked } = await run(steps, () => openLog({ directory, limits: SMALL_LIMITS }));
    await log.close();
    const durable = findDurablePosition(directory);
    const names = readdirSync(directory)
      .filter((name) => name.endsWith('.arrows'))
      .sort();
    for (const [i, name] of names.entries()) {
      const rest = join(directory, `rest-${i}`);
      mkdirSync(rest);
      for (const kept of names.slice(i)) copyFileSync(join(directory, kept), join(rest, kept));
      const from = BigInt(name.slice(0, 20));
      const entries = drain(openLogReader({ directory: rest, from, durable }));
      checkAcked(entries, new Map([...acked].filter(([offset]) => offset >= from)));
    }
  }));

const faults = fc.dictionary(fc.nat(80).map(String), fc.constantFrom<Fault>('fail', 'short', 'lie'), { maxKeys: 12 });

/** From now on the n-th operations of a disk fail as planned. */
function failAsPlanned(disk: MemoryFileSystem, plan: Readonly<Record<string, Fault>>): void {
  let operations = 0;
  disk.fault = (operation: Operation, path: string) =>
    path.endsWith('.arrows') || operation === 'syncDirectory' ? (plan[operations++] ?? 'none') : 'none';
}

/** Runs a property on a disk with faults; only the index is on real files. Reopening is left to the check. */
function onFaultyDisk(
  check: (directory: string, disk: MemoryFileSystem, outcome: Outcome, keep: number) => Promise<void>,
): Promise<void> {
  return fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), faults, fc.nat(4_000), async (steps, plan, keep) => {
      const directory = makeScratch();
      const disk = new MemoryFileSystem();
      const open = async () => {
        const limits = { ...SMALL_LIMITS, segmentBytesMax: 6_000 };
        const log = await openLog({ directory, fileSystem: disk, limits });
        failAsPlanned(disk, plan);
        return log;
      };
      try {
        const outcome = await run(steps, open);
        try {
          await check(directory, disk, outcome, keep);
        } finally {
          await outcome.log.close();
        }
      } finally {
        rmSync(directory, { recursive: true, force: true });
      }
    }),
    { numRuns: 100 },
  );
}

test('I3: what was acknowledged, and nothing above the durable offset, is found after a power cut', () =>
  onFaultyDisk(async (directory, disk, { log, acked }, keep) => {
    const { durableOffset } = log.status();
    for (const offset of acked.keys()) assert.ok(offset < durableOffset);
    const after = disk.afterPowerCut((bytes) => Math.min(bytes, keep));
    await log.close();
    rmSync(join(directory, 'index.sqlite'));
    const again = await openLog({ directory, fileSystem: after });
    checkAcked(readAll(again, directory, after), acked);
    assert.ok(again.status().nextOffset >= durableOffset);
    await again.close();
  }));

test('I4: at most one frame is written and not yet synced', () =>
  onFaultyDisk(async (_directory, disk) => {
    assert.ok(disk.unsyncedMax <= 1, `${disk.unsyncedMax} writes were not synced`);
  }));

test('I5: after a failed write or sync nothing acknowledged is lost, nothing refused is read, no descriptor is synced again', () =>
  onFaultyDisk(async (directory, disk, { log, acked, refused }) => {
    assert.equal(disk.retriedSyncs, 0);
    disk.fault = () => 'none';
    const last = await log.appendOtlp(1, { batchId: 0n, record: [Buffer.from('|resumed')] });
    acked.set(last.offset, { body: 'resumed', state: '' });
    const check = (entries: LogEntry[]) => {
      checkAcked(entries, acked);
      const bodies = entries.map((entry) => Buffer.from(entry.record).toString().split('|')[1] ?? '');
      for (const body of bodies) assert.ok(!refused.has(body), `${body} was refused`);
    };
    check(readAll(log, directory, disk));
    await log.close();
    const live = readIndex(directory);
    assert.deepEqual(live, rebuildIndex(directory, { fileSystem: disk }));
    const again = await openLog({ directory, fileSystem: disk });
    check(readAll(again, directory, disk));
    assert.deepEqual(again.status().gaps, log.status().gaps);
    await again.close();
  }));
