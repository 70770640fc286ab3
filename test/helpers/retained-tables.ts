/** Tables of the release on a file of their own, filled and retained step by step with a clock in hand: what the materializer does. */
import { rm } from 'node:fs/promises';
import type { CanonicalBatch } from '../../src/otap/index.ts';
import { type Clock, silentLogger } from '../../src/base/index.ts';
import { storeParts } from '../../src/materialize/engine-store.ts';
import type { SessionStore } from '../../src/materialize/engine-session.ts';
import { applyViews, migrate } from '../../src/materialize/migrator.ts';
import type { ProjectionDefinition, Projector } from '../../src/materialize/projection.ts';
import { PROJECTIONS } from '../../src/materialize/projections/projections.ts';
import {
  openTableRetention,
  type TableRetentionOptions,
  type TableRetention,
} from '../../src/materialize/table-retention.ts';
import { createRetentionFigures, type RetentionFigures } from '../../src/materialize/table-retention-figures.ts';

export const SECOND = 1_000_000_000n;
export const MINUTE = 60n * SECOND;
/** When tests begin. */
export const START = BigInt(Date.UTC(2026, 0, 1)) * 1_000_000n;

export interface TestEntry {
  readonly offset: bigint;
  readonly receivedAtUnixNano: bigint;
  readonly batch: CanonicalBatch;
}

interface Running {
  readonly definition: ProjectionDefinition;
  readonly projector: Projector;
  nextOffset: bigint;
}

export interface RetainedTables {
  readonly store: SessionStore;
  readonly figures: RetentionFigures;
  /** Unix time in nanoseconds; moves when told. */
  now: bigint;
  /** One transaction with entries in the order of their offsets. */
  commit(entries: readonly TestEntry[]): Promise<void>;
  /** Like `commit`, taken back at its end. */
  rollBack(entries: readonly TestEntry[]): Promise<void>;
  /** One slice of retention, idle or not. */
  step(isIdle?: boolean): Promise<void>;
  /** Slices until a run that begins now has ended, and the rewriting it asked for. */
  retain(): Promise<void>;
  rows(sql: string): Promise<Record<string, unknown>[]>;
  close(): Promise<void>;
}

/** Opens `file`, or makes it; entries below `nextOffset` are in it. */
export async function openRetainedTables(
  file: string,
  options: {
    readonly ageMs: number | null;
    readonly now?: bigint;
    readonly nextOffset?: bigint;
    readonly limits?: NonNullable<TableRetentionOptions['limits']>;
  },
): Promise<RetainedTables> {
  const store = await storeParts({ memoryLimitMb: 256, threads: 1 }).openStore(file, silentLogger);
  if ((await migrate(store)).length > 0) await store.run('CHECKPOINT');
  await store.begin();
  await applyViews(store);
  await store.commit();
  const running: Running[] = [];
  for (const definition of PROJECTIONS) {
    const projector = await definition.start({
      openWriter: (table) => store.openWriter(table),
      run: (sql) => store.run(sql),
      rows: (sql) => store.rows(sql),
    });
    running.push({ definition, projector, nextOffset: options.nextOffset ?? 0n });
  }
  const figures = createRetentionFigures(options.ageMs);
  const clock: Clock = { nowUnixNano: () => tables.now, monotonicMs: () => Number(tables.now / 1_000_000n) };
  let retention: TableRetention | null = null;

  async function project(entries: readonly TestEntry[]): Promise<void> {
    await store.begin();
    for (const entry of entries) {
      retention!.saw(entry);
      for (const { definition, projector } of running) {
        if (definition.signal === entry.batch.signal) projector.project(entry, entry.batch);
      }
    }
    for (const { projector } of running) await projector.beforeCommit();
    await retention!.beforeCommit();
  }

  const tables: RetainedTables = {
    store,
    figures,
    now: options.now ?? START,
    async commit(entries) {
      await project(entries);
      await store.commit();
      for (const one of running) {
        one.projector.afterCommit();
        one.nextOffset = entries.at(-1)!.offset + 1n;
      }
      retention!.afterCommit();
    },
    async rollBack(entries) {
      await project(entries);
      await store.rollback();
      for (const { projector } of running) projector.afterRollback();
      retention!.afterRollback();
    },
    step: (isIdle = true) => retention!.step(running, isIdle),
    async retain() {
      const before = figures.runs;
      while (retention!.waitMs === 0 || figures.runs === before) {
        if (retention!.waitMs !== 0) tables.now += BigInt(Math.ceil(retention!.waitMs!)) * 1_000_000n;
        await tables.step();
      }
    },
    rows: (sql) => store.rows(sql),
    async close() {
      for (const { projector } of running) projector.close();
      await store.close();
    },
  };
  retention = await openTableRetention({
    database: store,
    figures,
    now: () => tables.now,
    clock,
    logger: silentLogger,
    ...(options.limits === undefined ? {} : { limits: options.limits }),
  });
  return tables;
}

/** Removes a database and its write-ahead log. */
export async function removeTables(file: string): Promise<void> {
  await Promise.all(['', '.wal'].map((suffix) => rm(file + suffix, { force: true })));
}
