/**
 * Goal: I8: each entry is materialized exactly once per projection version, whenever the process dies.
 * Method: generated logs and schedules of sessions on one database. A session dies at one of its database calls: before the call has
 * an effect, or after it (a COMMIT that was done and never reported); what was open is rolled back as DuckDB does it. Between sessions
 * the log grows and a new version may come; frames and transactions end anywhere.
 * Invariant: after every death the rows of each version are those of the entries below its checkpoint, each once, and none above; in
 * the end they, and the quarantine, are those of the whole log.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';
import fc from 'fast-check';
import { silentLogger, systemClock } from '../../src/base/index.ts';
import { ENTRY_KINDS, type LogEntry } from '../../src/log/index.ts';
import type { Database } from '../../src/materialize/database.ts';
import { createFailedRange } from '../../src/materialize/failed-range.ts';
import { createCounters } from '../../src/materialize/materializer-counters.ts';
import { migrate } from '../../src/materialize/migrator.ts';
import { openTracks } from '../../src/materialize/tracks.ts';
import {
  decodeSmallOtlp,
  positionAt,
  smallDecoder,
  smallEntries,
  type SmallEntry,
  smallMigrations,
  smallProjection,
  smallReader,
  type SmallRecord,
} from '../helpers/small-engine.ts';

const UUID = '00000000-0000-0000-0000-000000000001';
const RUNS = 40;

const migrations = await smallMigrations(await mkdtemp(join(tmpdir(), 'exactly-once-')), [
  smallProjection('logs'),
  smallProjection('logs', 2),
]);
after(() => rm(migrations, { recursive: true }));

interface Session {
  /** Entries of the log that are durable in it, above those of the session before. */
  readonly grows: number;
  /** It dies at its n-th database call; later than it makes calls: it is stopped. */
  readonly diesAt: number;
  /** Whether the call at which it dies has its effect. */
  readonly takesEffect: boolean;
  /** Whether this session, and all later ones, run version 2. */
  readonly upgrades: boolean;
  /** Whether it has the code of versions before its own too. */
  readonly hasOldCode: boolean;
  readonly frameEntries: number;
  readonly commitRowsMax: number;
}

const record: fc.Arbitrary<SmallRecord> = fc
  .record(
    {
      set: fc.constantFrom({ a: '1' }, { a: '2' }, { b: '3' }),
      use: fc.constantFrom('a', 'b'),
      rows: fc.integer({ min: 0, max: 3 }),
      fault: fc.constantFrom('malformed', 'undecodable', 'refused'),
    },
    { requiredKeys: ['rows'] },
  )
  // The database has no rows to refuse in an entry without any.
  .map((one): SmallRecord => (one.fault === 'refused' && one.rows === 0 ? { ...one, rows: 1 } : one));
const entry: fc.Arbitrary<SmallEntry> = fc.record({
  stream: fc.constantFrom(1n, 2n),
  kind: fc.constantFrom(ENTRY_KINDS.BAR, ENTRY_KINDS.BAR, ENTRY_KINDS.BAR, ENTRY_KINDS.OTLP, ENTRY_KINDS.STREAM_CLOSE),
  record: fc.oneof({ weight: 8, arbitrary: record }, { weight: 1, arbitrary: fc.constant('bad') }),
});
const session: fc.Arbitrary<Session> = fc.record({
  grows: fc.nat(12),
  diesAt: fc.nat(25),
  takesEffect: fc.boolean(),
  upgrades: fc.oneof({ weight: 4, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
  hasOldCode: fc.boolean(),
  frameEntries: fc.integer({ min: 1, max: 9 }),
  commitRowsMax: fc.integer({ min: 1, max: 9 }),
});

test('I8: each entry is materialized exactly once per projection version, whenever the process dies', async (t) => {
  let deaths = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(entry, { minLength: 1, maxLength: 30 }),
      fc.array(session, { minLength: 1, maxLength: 6 }),
      async (small, sessions) => {
        const entries = smallEntries(small);
        const instance = await DuckDBInstance.create(':memory:');
        try {
          let durable = 0;
          let version = 1;
          for (const one of sessions) {
            durable = Math.min(entries.length, durable + one.grows);
            if (one.upgrades) version = 2;
            if (await runSession(instance, entries.slice(0, durable), version, one)) deaths++;
            await checkRows(instance, entries);
          }
          await runSession(instance, entries, version, { ...LAST, frameEntries: sessions[0]!.frameEntries });
          await checkRows(instance, entries, version);
        } finally {
          instance.closeSync();
        }
      },
    ),
    { numRuns: RUNS },
  );
  t.diagnostic(`${deaths} deaths`);
  assert.ok(deaths > RUNS / 2, 'the schedules let too few sessions die to mean something');
});

const LAST: Session = {
  grows: 0,
  diesAt: Number.POSITIVE_INFINITY,
  takesEffect: false,
  upgrades: false,
  hasOldCode: true,
  frameEntries: 3,
  commitRowsMax: 4,
};

/** A process on the database, until everything is in the tables or it dies. Returns whether it died. */
async function runSession(
  instance: DuckDBInstance,
  entries: readonly LogEntry[],
  version: number,
  { diesAt, takesEffect, hasOldCode, frameEntries, commitRowsMax }: Session,
): Promise<boolean> {
  const connections = [await instance.connect(), await instance.connect()] as const;
  const life = mortalDatabase(connections, diesAt, takesEffect);
  const [database, builder] = life.databases;
  const end = BigInt(entries.length);
  const versions = version === 1 ? [1] : [1, 2];
  try {
    await migrate(database, migrations);
    const openWriter = () => Promise.reject(new Error('Small projections write with SQL'));
    const counters = createCounters();
    const tracks = await openTracks({
      store: {
        ...database,
        openWriter,
        connectWriting: () => Promise.resolve({ ...builder, openWriter, close() {} }),
        connect: () => instance.connect(),
        tableBytes: () => 1,
        walBytes: () => 0,
        diskFreeBytes: () => Number.POSITIVE_INFINITY,
        writer: 'safe',
        recreated: null,
        cutBytes: 0,
        close: () => Promise.resolve(),
      },
      definitions: hasOldCode ? versions.map((of) => smallProjection('logs', of)) : [smallProjection('logs', version)],
      logUuid: UUID,
      openReader: (from, bound) => smallReader(entries, from, bound, frameEntries),
      createDecoder: smallDecoder,
      decodeOtlp: decodeSmallOtlp,
      failedRange: createFailedRange(),
      buildTrouble: () => ({ failedRange: createFailedRange() }),
      openRetention: () => Promise.resolve(null),
      counters,
      durable: positionAt(end),
      applyViews: () => Promise.resolve(),
      logger: silentLogger,
      clock: systemClock,
      commitRowsMax,
      commitIntervalMs: 1,
    });
    const running = tracks.run();
    const isDone = () => {
      const [logs] = tracks.projections;
      return logs?.version === version && logs.building === null && tracks.materializedOffset >= end;
    };
    while (!life.isDead && !isDone()) await new Promise((resolve) => setImmediate(resolve));
    tracks.stop();
    await running;
  } catch (error) {
    if (!life.isDead) throw error;
  } finally {
    // What the process had open is rolled back, as when it is killed.
    for (const connection of connections) connection.closeSync();
  }
  return life.isDead;
}

/** Database connections whose process dies at one of its calls. The dead one's later calls do nothing: they fail. */
function mortalDatabase(
  connections: readonly [DuckDBConnection, DuckDBConnection],
  diesAt: number,
  takesEffect: boolean,
) {
  let calls = 0;
  const life = { isDead: false, databases: null as unknown as readonly [Database, Database] };
  async function call<Result>(work: () => Promise<Result>): Promise<Result> {
    const isLast = calls++ === diesAt;
    if (!life.isDead && isLast && takesEffect) await work();
    life.isDead ||= isLast;
    if (life.isDead) throw new Error('Connection Error: the process is dead');
    return work();
  }
  const databaseOf = (connection: DuckDBConnection): Database => {
    const run = (sql: string) => call(async () => void (await connection.run(sql)));
    return {
      run,
      rows: (sql) =>
        call(async () => (await connection.runAndReadAll(sql)).getRowObjects() as Record<string, unknown>[]),
      begin: () => run('BEGIN TRANSACTION'),
      commit: () => run('COMMIT'),
      rollback: () => run('ROLLBACK'),
    };
  };
  life.databases = [databaseOf(connections[0]), databaseOf(connections[1])];
  return life;
}

/** Compares rows and quarantine of each version with what its checkpoint promises; with `version` all entries must be in that one alone. */
async function checkRows(instance: DuckDBInstance, entries: readonly LogEntry[], version?: number): Promise<void> {
  const connection = await instance.connect();
  const rows = async (sql: string) => (await connection.runAndReadAll(sql)).getRows();
  try {
    const [[known]] = (await rows(
      "SELECT count(*)::INTEGER FROM duckdb_tables() WHERE table_name = 'projections'",
    )) as [[number]];
    const checkpoints = known === 0 ? [] : await rows('SELECT version, next_offset FROM meta.projections ORDER BY ALL');
    if (version !== undefined) assert.deepEqual(checkpoints, [[version, BigInt(entries.length)]]);
    for (const [of, nextOffset] of checkpoints) {
      const expected = model(entries.filter(({ offset }) => offset < (nextOffset as bigint)));
      assert.deepEqual(await rows(`SELECT * FROM store.logs_v${of} ORDER BY ALL`), expected.rows, `version ${of}`);
      const aside = await rows(`SELECT entry_offset FROM meta.quarantine WHERE version = ${of} ORDER BY ALL`);
      assert.deepEqual(aside.flat(), expected.quarantined, `quarantine of version ${of}`);
    }
  } finally {
    connection.closeSync();
  }
}

/** The rows and quarantined offsets that entries stand for, each read once in order. */
function model(entries: readonly LogEntry[]): { rows: unknown[][]; quarantined: bigint[] } {
  const rows: unknown[][] = [];
  const quarantined: bigint[] = [];
  const states = new Map<bigint, Map<string, string>>();
  for (const { offset, streamId, kind, record: bytes } of entries) {
    if (kind === ENTRY_KINDS.STREAM_CLOSE) {
      states.delete(streamId);
      continue;
    }
    const text = Buffer.from(bytes).toString();
    const isAlone = kind === ENTRY_KINDS.OTLP;
    if (text === 'bad') {
      // What was known of the stream is lost with it.
      if (!isAlone) states.delete(streamId);
      quarantined.push(offset);
      continue;
    }
    const { set = {}, use, rows: count = 1, fault } = JSON.parse(text) as SmallRecord;
    const state = (isAlone ? undefined : states.get(streamId)) ?? new Map<string, string>();
    if (!isAlone) states.set(streamId, state);
    for (const [name, value] of Object.entries(set)) state.set(name, value);
    const value = use === undefined ? '' : state.get(use);
    if (value === undefined || fault !== undefined) quarantined.push(offset);
    else for (let row = 0; row < count; row++) rows.push([offset, row, value]);
  }
  return { rows, quarantined };
}
