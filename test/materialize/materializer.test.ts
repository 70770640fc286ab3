import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test, type TestContext } from 'node:test';
import fc from 'fast-check';
import { LIMITS, silentLogger, systemClock } from '../../src/base/index.ts';
import { ENTRY_FLAGS, ENTRY_KINDS, type LogEntry } from '../../src/log/index.ts';
import { openCheckpoints } from '../../src/materialize/checkpoint.ts';
import { createFailedRange } from '../../src/materialize/failed-range.ts';
import { createMaterializer } from '../../src/materialize/materializer.ts';
import type { MaterializerCounters } from '../../src/materialize/materializer-counters.ts';
import { migrate } from '../../src/materialize/migrator.ts';
import type { ProjectionDefinition } from '../../src/materialize/projection.ts';
import { openQuarantine } from '../../src/materialize/quarantine.ts';
import {
  decodeSmallOtlp,
  positionAt,
  smallDecoder,
  smallEntries,
  type SmallEntry,
  smallProjection,
  smallMigrations,
  smallReader,
  type SmallStore,
  smallStore,
} from '../helpers/small-engine.ts';

/** Longer than any test. */
const NEVER_MS = 3_600_000;
const UUID = '00000000-0000-0000-0000-000000000001';

const migrations = await smallMigrations(await mkdtemp(join(tmpdir(), 'materializer-')), [
  smallProjection('logs'),
  smallProjection('traces'),
]);
after(() => rm(migrations, { recursive: true }));

async function openSmallStore(t: TestContext | null): Promise<SmallStore> {
  const store = await smallStore(':memory:');
  t?.after(() => store.close());
  await migrate(store, migrations);
  return store;
}

interface RunOptions {
  readonly definitions?: readonly ProjectionDefinition[];
  readonly commitRowsMax?: number;
  readonly commitIntervalMs?: number;
  readonly frameEntries?: number;
  /** When to stop; default: all entries are in the tables. */
  readonly until?: (materializedOffset: bigint, commits: number, stuck: string | null) => boolean;
  /** Before the loop begins. */
  readonly ready?: () => void;
}

/** Opens checkpoints, runs the loop until `until`, stops it. */
async function materialize(store: SmallStore, entries: readonly LogEntry[], options: RunOptions = {}) {
  const definitions = options.definitions ?? [smallProjection('logs')];
  const end = entries.at(-1) === undefined ? 0n : entries.at(-1)!.offset + 1n;
  const durable = positionAt(end);
  const counters: MaterializerCounters = {
    commits: 0,
    rowsWritten: 0,
    entriesDecoded: 0,
    repairedStrings: 0,
    lastCommitMs: 0,
    lost: { total: 0n, newest: [] },
    projectionRows: new Map(),
  };
  const projections = [];
  for (const checkpoint of await openCheckpoints(store, definitions, UUID)) {
    const projector = await checkpoint.definition.start({
      openWriter: (table) => store.openWriter(table),
      run: (sql) => store.run(sql),
      rows: (sql) => store.rows(sql),
    });
    projections.push({ checkpoint, projector });
  }
  const quarantine = await openQuarantine(store);
  const readersFrom: bigint[] = [];
  const materializer = createMaterializer({
    database: store,
    openReader(from, bound) {
      readersFrom.push(from);
      return smallReader(entries, from, bound, options.frameEntries);
    },
    projections,
    createDecoder: smallDecoder,
    decodeOtlp: decodeSmallOtlp,
    quarantine,
    failedRange: createFailedRange(),
    counters,
    durable,
    logger: silentLogger,
    clock: systemClock,
    commitRowsMax: options.commitRowsMax ?? 5,
    commitIntervalMs: options.commitIntervalMs ?? 5,
  });
  options.ready?.();
  const running = materializer.run();
  const until = options.until ?? ((offset) => offset >= end);
  while (!until(materializer.materializedOffset, counters.commits, materializer.stuck)) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  materializer.stop();
  return { end: await running, counters, quarantine, materializer, readersFrom };
}

async function offsets(store: SmallStore, table = 'logs_v1'): Promise<number[]> {
  return (await store.rows(`SELECT entry_offset FROM store.${table} ORDER BY entry_offset, row`)).map((row) =>
    Number(row['entry_offset']),
  );
}

async function quarantined(store: SmallStore): Promise<[number, string, string][]> {
  const rows = await store.rows('SELECT entry_offset, projection, reason FROM meta.quarantine ORDER BY ALL');
  return rows.map((row) => [Number(row['entry_offset']), String(row['projection']), String(row['reason'])]);
}

async function checkpoints(store: SmallStore): Promise<Record<string, number>> {
  const rows = await store.rows('SELECT projection, version, next_offset FROM meta.projections');
  return Object.fromEntries(rows.map((row) => [`${row['projection']}_v${row['version']}`, Number(row['next_offset'])]));
}

test('materializer writes each entry once and the checkpoint behind it', async (t) => {
  const store = await openSmallStore(t);
  const entries = smallEntries([
    { kind: ENTRY_KINDS.STREAM_OPEN },
    { record: { set: { a: 'x' }, use: 'a', rows: 2 } },
    { record: { use: 'a' } },
    { kind: ENTRY_KINDS.CURSOR },
    { kind: ENTRY_KINDS.STREAM_CLOSE },
  ]);
  const { counters } = await materialize(store, entries);
  assert.deepEqual(await offsets(store), [1, 1, 2]);
  assert.deepEqual(await checkpoints(store), { logs_v1: 5 });
  assert.equal(counters.rowsWritten, 3);
  assert.equal(counters.entriesDecoded, 2);
  assert.equal(counters.repairedStrings, 2);
  assert.equal(counters.projectionRows.get('logs'), 3);
});

test('materializer commits at the row limit and starts again behind the commit', async (t) => {
  const store = await openSmallStore(t);
  const entries = smallEntries(Array.from({ length: 20 }, (): SmallEntry => ({ record: { rows: 2 } })));
  const { counters } = await materialize(store, entries, { commitRowsMax: 10 });
  assert.ok(counters.commits >= 4);
  const again = await materialize(store, entries, { commitRowsMax: 10 });
  assert.equal(again.counters.rowsWritten, 0);
  assert.equal((await offsets(store)).length, 40);
});

test('materializer commits what it has read when it is stopped', async (t) => {
  const store = await openSmallStore(t);
  let begun = 0;
  const begin = store.begin.bind(store);
  store.begin = async () => {
    await begin();
    begun++;
  };
  const { counters } = await materialize(store, smallEntries([{}, {}]), {
    commitRowsMax: 1_000,
    commitIntervalMs: NEVER_MS,
    until: () => begun > 0,
  });
  // It stopped inside the transaction or behind its rows: those read are there, and the checkpoint with them.
  assert.equal(counters.commits, 1);
  const read = (await offsets(store)).length;
  assert.ok(read > 0);
  assert.deepEqual(await checkpoints(store), { logs_v1: read });
});

test('materializer applies entries below the checkpoint as state only', async (t) => {
  const store = await openSmallStore(t);
  const first = smallEntries([{ record: { set: { a: 'kept' } } }]);
  await materialize(store, first);
  const more = smallEntries([{ record: { set: { a: 'kept' } } }, { record: { use: 'a' } }]);
  const { readersFrom } = await materialize(store, more);
  assert.equal(readersFrom[0], 1n);
  assert.deepEqual(await offsets(store), [0, 1]);
  const rows = await store.rows('SELECT value FROM store.logs_v1 WHERE entry_offset = 1');
  assert.equal(rows[0]?.['value'], 'kept');
});

test('materializer restores state from STATE entries and forgets it where a segment begins', async (t) => {
  const store = await openSmallStore(t);
  const entries = smallEntries([
    { record: { set: { a: 'old', b: 'gone' } } },
    { segment: 1n, kind: ENTRY_KINDS.STATE, record: { set: { a: 'carried' } } },
    { segment: 1n, record: { use: 'a' } },
    { segment: 1n, record: { use: 'b' } },
  ]);
  await materialize(store, entries);
  assert.deepEqual(await offsets(store), [0, 2]);
  assert.deepEqual(await quarantined(store), [[3, 'logs', 'Unknown name: b']]);
});

test('materializer forgets what it knew of streams when it begins a replay', async (t) => {
  const store = await openSmallStore(t);
  const entries = smallEntries([
    { record: { use: 'a' } },
    { record: { set: { a: 'later' }, use: 'a' } },
    { record: { fault: 'refused' } },
  ]);
  // The last entry takes the transaction of all three back: read again, the first one knows no more than before.
  await materialize(store, entries, { commitRowsMax: 100, frameEntries: 3 });
  assert.deepEqual(await offsets(store), [1]);
  const aside = await quarantined(store);
  assert.deepEqual(
    aside.map(([offset]) => offset),
    [0, 2],
  );
});

test('materializer takes no state from an entry that damage made undecodable, live or replayed', async (t) => {
  const [live, replayed] = [await openSmallStore(t), await openSmallStore(t)];
  const small: SmallEntry[] = [
    { record: { set: { a: 'good' } } },
    { record: { set: { a: 'doubtful' } }, flags: ENTRY_FLAGS.UNDECODABLE },
    { record: { use: 'a' } },
  ];
  await materialize(live, smallEntries(small));
  await materialize(replayed, smallEntries(small.slice(0, 2)));
  await materialize(replayed, smallEntries(small));
  for (const store of [live, replayed]) {
    const rows = await store.rows('SELECT value FROM store.logs_v1 WHERE entry_offset = 2');
    assert.deepEqual(rows, [{ value: 'good' }]);
  }
});

test('materializer commits at the bytes of log in a transaction, however few its rows', {
  timeout: 60_000,
}, async (t) => {
  const store = await openSmallStore(t);
  const record = Buffer.from(JSON.stringify({ rows: 1, pad: 'x'.repeat(LIMITS.commitBytesMax / 2) }));
  const entries = smallEntries([{}, {}, {}]).map((entry) => ({ ...entry, record }));
  const { counters } = await materialize(store, entries, {
    commitRowsMax: 1_000,
    commitIntervalMs: NEVER_MS,
    until: (_offset, commits) => commits > 0,
  });
  assert.deepEqual(await offsets(store), [0, 1, 2].slice(0, counters.rowsWritten));
  assert.ok(counters.rowsWritten >= 2);
});

test('materializer quarantines a bad entry and its dependents among good ones', async (t) => {
  const store = await openSmallStore(t);
  const definitions = [smallProjection('logs'), smallProjection('traces')];
  const entries = smallEntries([
    { record: { set: { a: '1' }, use: 'a' } },
    { record: "not JSON: it's damaged" },
    { record: { use: 'a' } },
    { stream: 2n, record: { rows: 1 } },
    { record: { set: { a: '2' }, use: 'a' } },
    { stream: 3n, signal: 'traces', record: { fault: 'malformed' } },
    { kind: ENTRY_KINDS.OTLP, signal: 'traces', record: { fault: 'undecodable' } },
    { signalCode: 9 },
    { kind: 77 },
    { flags: ENTRY_FLAGS.UNDECODABLE, record: { rows: 1 } },
    { stream: 2n, record: { rows: 1 } },
    { kind: ENTRY_KINDS.OTLP, signal: 'traces', record: { rows: 2 } },
  ]);
  const { quarantine } = await materialize(store, entries, { definitions });
  assert.deepEqual(await offsets(store), [0, 3, 4, 10]);
  assert.deepEqual(await offsets(store, 'traces_v1'), [11, 11]);
  assert.deepEqual(await quarantined(store), [
    [1, 'logs', 'Cannot parse the record'],
    [2, 'logs', 'Unknown name: a'],
    [5, 'traces', 'Cannot project: told so'],
    [6, 'traces', 'Cannot decode: told so'],
    [7, '*', 'Cannot decode the entry: signal is 9'],
    [8, 'logs', 'Cannot decode the entry: kind is 77'],
    [9, 'logs', 'Cannot decode the entry: damage of the log has taken state that it depends on'],
  ]);
  assert.equal(quarantine.total, 7);
  assert.deepEqual(
    quarantine.newest.map(({ offset }) => Number(offset)),
    [9, 8, 7, 6, 5, 2, 1],
  );
});

test('materializer quarantines only the entry that the database refuses', async (t) => {
  const store = await openSmallStore(t);
  const entries = smallEntries(
    Array.from(
      { length: 40 },
      (_, i): SmallEntry => ({ record: i === 17 || i === 18 ? { fault: 'refused' } : { rows: 1 } }),
    ),
  );
  await materialize(store, entries, { commitRowsMax: 30 });
  const good = Array.from({ length: 40 }, (_, i) => i).filter((i) => i !== 17 && i !== 18);
  assert.deepEqual(await offsets(store), good);
  const aside = await quarantined(store);
  assert.deepEqual(
    aside.map(([offset]) => offset),
    [17, 18],
  );
  assert.match(aside[0]![2], /Conversion Error/);
});

test('materializer takes back what a broken projection appended half way', async (t) => {
  const store = await openSmallStore(t);
  const entries = smallEntries([{ record: {} }, { record: { fault: 'bug', rows: 3 } }, { record: {} }]);
  await materialize(store, entries, { commitRowsMax: 100 });
  assert.deepEqual(await offsets(store), [0, 2]);
  assert.deepEqual(await quarantined(store), [[1, 'logs', 'project broke half way']]);
});

test('materializer stops on a full disk, says so, and goes on when there is space', async (t) => {
  const store = await openSmallStore(t);
  const entries = smallEntries([{ record: {} }, { record: {} }]);
  const seen = new Set<string | null>();
  const { end, materializer } = await materialize(store, entries, {
    ready: () => store.failWith('commit', new Error('IO Error: Could not write file "x": No space left on device')),
    until: (offset, _commits, stuck) => {
      seen.add(stuck);
      if (stuck !== null) store.failWith('commit', null);
      return offset >= 2n;
    },
  });
  assert.equal(end, 'stopped');
  assert.match([...seen].join(), /Cannot write to the tables.*No space left/);
  assert.equal(materializer.stuck, null);
  assert.deepEqual(await offsets(store), [0, 1]);
  assert.deepEqual(await quarantined(store), []);
});

test('materializer gives the database back when its connection cannot begin', async (t) => {
  const store = await openSmallStore(t);
  const entries = smallEntries([{ record: {} }]);
  const refusal = new Error('TransactionContext Error: cannot start a transaction within a transaction');
  const { end, materializer } = await materialize(store, entries, {
    ready: () => store.failWith('begin', refusal),
    until: () => store.failures > 0,
  });
  assert.equal(end, 'lost');
  assert.match(String(materializer.stuck), /opened again/);
});

test('materializer skips what a projection has when another one starts at the beginning', async (t) => {
  const store = await openSmallStore(t);
  const entries = smallEntries([
    { record: { set: { a: 'x' }, use: 'a' } },
    { stream: 2n, signal: 'traces' },
    { record: { use: 'a' } },
    { signalCode: 9 },
  ]);
  await materialize(store, entries, { definitions: [smallProjection('logs')] });
  assert.deepEqual(await checkpoints(store), { logs_v1: 4 });
  await materialize(store, entries, { definitions: [smallProjection('logs'), smallProjection('traces')] });
  assert.deepEqual(await offsets(store), [0, 2]);
  assert.deepEqual(await offsets(store, 'traces_v1'), [1]);
  assert.deepEqual(await checkpoints(store), { logs_v1: 4, traces_v1: 4 });
  // Told once, by the one that came first.
  assert.deepEqual(
    (await quarantined(store)).map(([offset, projection]) => [offset, projection]),
    [[3, '*']],
  );
});

test('materializer gives the same tables however often it is stopped and wherever frames end (I8)', async () => {
  const record = fc.record(
    {
      set: fc.constantFrom({ a: '1' }, { a: '2' }, { b: '3' }),
      use: fc.constantFrom('a', 'b'),
      rows: fc.integer({ min: 0, max: 4 }),
      fault: fc.constantFrom('malformed', 'bug', 'refused', 'undecodable'),
    },
    { requiredKeys: ['rows'] },
  );
  const entry = fc.record({
    stream: fc.constantFrom(1n, 2n),
    kind: fc.constantFrom(ENTRY_KINDS.BAR, ENTRY_KINDS.BAR, ENTRY_KINDS.BAR, ENTRY_KINDS.STREAM_CLOSE),
    record: fc.oneof({ weight: 6, arbitrary: record }, { weight: 1, arbitrary: fc.constant('bad') }),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(entry, { minLength: 1, maxLength: 25 }),
      fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 3 }),
      fc.integer({ min: 1, max: 9 }),
      fc.integer({ min: 1, max: 9 }),
      async (small, stops, frameEntries, commitRowsMax) => {
        const entries = smallEntries(small as SmallEntry[]);
        const [whole, halting] = [await openSmallStore(null), await openSmallStore(null)];
        try {
          await materialize(whole, entries, { commitRowsMax: 1_000, frameEntries: 100 });
          for (const commitsMax of stops) {
            await materialize(halting, entries, {
              commitRowsMax,
              frameEntries,
              until: (offset, commits) => commits >= commitsMax || offset >= BigInt(entries.length),
            });
          }
          await materialize(halting, entries, { commitRowsMax, frameEntries });
          const all = 'SELECT * FROM store.logs_v1 ORDER BY ALL';
          assert.deepEqual(await halting.rows(all), await whole.rows(all));
          const aside = async (store: SmallStore) => (await quarantined(store)).map(([offset]) => offset);
          assert.deepEqual(await aside(halting), await aside(whole));
        } finally {
          await whole.close();
          await halting.close();
        }
      },
    ),
    { numRuns: 25 },
  );
});
