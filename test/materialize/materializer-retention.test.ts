import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test, type TestContext } from 'node:test';
import { silentLogger, systemClock } from '../../src/base/index.ts';
import { openCheckpoints } from '../../src/materialize/checkpoint.ts';
import { createFailedRange } from '../../src/materialize/failed-range.ts';
import { createMaterializer } from '../../src/materialize/materializer.ts';
import type { MaterializerEnd } from '../../src/materialize/materializer-types.ts';
import { migrate } from '../../src/materialize/migrator.ts';
import { openQuarantine } from '../../src/materialize/quarantine.ts';
import type { TableRetention } from '../../src/materialize/table-retention.ts';
import {
  decodeSmallOtlp,
  positionAt,
  smallDecoder,
  smallEntries,
  type SmallEntry,
  smallMigrations,
  smallProjection,
  smallReader,
  type SmallStore,
  smallStore,
} from '../helpers/small-engine.ts';

const migrations = await smallMigrations(await mkdtemp(join(tmpdir(), 'materializer-retention-')), [
  smallProjection('logs'),
]);
after(() => rm(migrations, { recursive: true }));

/** Runs the loop with 40 entries, of which `faulty` ones are refused by the database, until retention has been idle or it ends. */
async function run(
  t: TestContext,
  faulty: readonly number[],
  retention: (store: SmallStore, idle: () => void) => TableRetention,
): Promise<{ end: MaterializerEnd; store: SmallStore }> {
  const store = await smallStore(':memory:');
  t.after(() => store.close());
  await migrate(store, migrations);
  const entries = smallEntries(
    Array.from(
      { length: 40 },
      (_, i): SmallEntry => (faulty.includes(i) ? { record: { rows: 1, fault: 'refused' } } : { record: { rows: 2 } }),
    ),
  );
  const projections = [];
  for (const checkpoint of await openCheckpoints(store, [smallProjection('logs')], 'u')) {
    const context = { run: store.run, rows: store.rows, openWriter: store.openWriter };
    projections.push({ checkpoint, projector: await checkpoint.definition.start(context) });
  }
  const materializer = createMaterializer({
    database: store,
    openReader: (from, bound) => smallReader(entries, from, bound, 7),
    projections,
    createDecoder: smallDecoder,
    decodeOtlp: decodeSmallOtlp,
    quarantine: await openQuarantine(store),
    failedRange: createFailedRange(),
    counters: {
      commits: 0,
      rowsWritten: 0,
      entriesDecoded: 0,
      repairedStrings: 0,
      lastCommitMs: 0,
      lost: { total: 0n, newest: [] },
      projectionRows: new Map(),
    },
    durable: positionAt(40n),
    retention: retention(store, () => materializer.stop()),
    logger: silentLogger,
    clock: systemClock,
    commitRowsMax: 6,
    commitIntervalMs: 5,
  });
  return { end: await materializer.run(), store };
}

const QUIET: TableRetention = {
  saw() {},
  beforeCommit: () => Promise.resolve(),
  afterCommit() {},
  afterRollback() {},
  step: () => Promise.resolve(),
  kept: () => Promise.resolve(null),
  waitMs: undefined,
};

test('materializer lets retention work between transactions, under load and when idle', async (t) => {
  const steps: { isIdle: boolean; nextOffset: bigint }[] = [];
  await run(t, [], (store, idle) => ({
    ...QUIET,
    async step([projection], isIdle) {
      // Fails inside a transaction.
      await store.begin();
      const [row] = await store.rows('SELECT max(entry_offset) AS last FROM store.logs_v1');
      await store.rollback();
      assert.ok(projection !== undefined && BigInt(row!['last'] as bigint) < projection.nextOffset);
      steps.push({ isIdle, nextOffset: projection.nextOffset });
      if (isIdle) idle();
    },
  }));
  assert.ok(steps.filter(({ isIdle }) => !isIdle).length > 5, 'a backlog must not keep retention from working');
  assert.equal(steps.at(-1)?.nextOffset, 40n);
});

test('materializer tells retention of every entry once for each commit, and again after a rollback', async (t) => {
  const committed: bigint[] = [];
  let pending: bigint[] = [];
  let rollbacks = 0;
  await run(t, [20], (store, idle) => ({
    ...QUIET,
    saw: ({ offset }) => void pending.push(offset),
    async beforeCommit() {
      await store.run('SELECT 1');
    },
    afterCommit() {
      committed.push(...pending);
      pending = [];
    },
    afterRollback() {
      rollbacks++;
      pending = [];
    },
    kept: () => Promise.resolve(null),
    step: (_projections, isIdle) => Promise.resolve(isIdle ? idle() : undefined),
  }));
  assert.ok(rollbacks > 0);
  assert.deepEqual(
    committed,
    Array.from({ length: 40 }, (_, i) => BigInt(i)),
  );
});

test('materializer ends when retention finds that the database is lost', async (t) => {
  const { end } = await run(t, [], () => ({
    ...QUIET,
    step: () => Promise.reject(new Error('FATAL Error: database has been invalidated')),
  }));
  assert.equal(end, 'lost');
});
