/**
 * Retention of the tables: rows older than an age go, then the resources, scopes and series that nothing refers to any more, then the
 * disk is given back. It works in slices between the materializer's transactions, each complete in itself: a kill at any point leaves
 * tables that the next run goes on with, and checkpoints are never touched.
 *
 * A row is as old as its time. Where that is missing, or lies after the receipt of its entry, the receipt counts: such a row neither
 * goes at once nor stays for ever. So a row of an entry received before the limit goes in any case, and one of a later entry goes
 * when its time lies before the limit: what is left depends on the entries alone, not on when runs or replays were.
 */
import { type Clock, errorMessage, LIMITS, type Logger } from '../base/index.ts';
import type { LogEntry } from '../log/index.ts';
import type { Database } from './database.ts';
import type { ProjectionDefinition } from './projection.ts';
import { openReceiveTimes } from './receive-times.ts';
import { storeFailure } from './store-failures.ts';
import { type AgingProjection, sweepDimension } from './table-retention-dimensions.ts';
import { countDeleted, type RetentionFigures, unversioned } from './table-retention-figures.ts';
import { fileSpace, isWorthRewriting, rewriteTables } from './table-retention-space.ts';
import { type KeptRows, oldConditions, oldestTime, sweepRows } from './table-retention-sweep.ts';

const NANOS_PER_MILLI = 1_000_000n;

export interface TableRetentionOptions {
  readonly database: Database;
  readonly figures: RetentionFigures;
  /** The time that limits are reckoned from, in nanoseconds. */
  readonly now: () => bigint;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Replace single ones of `LIMITS`. */
  readonly limits?: Partial<SliceLimits>;
  /** Whether others write beside: checkpoints are theirs then, and the file is not made smaller. Default: never. */
  readonly isShared?: () => boolean;
}

type SliceLimits = {
  readonly [name in
    | 'retentionSliceRowsMax'
    | 'retentionScanRowsMax'
    | 'retentionKeysMax'
    | 'retentionCheckpointRows'
    | 'rewriteBytesMin'
    | 'rewriteIntervalMs']: number;
};

/** A running projection. `nextOffset` is its checkpoint, which moves. */
export interface RetainedProjection extends AgingProjection {
  readonly definition: Pick<ProjectionDefinition, 'aging'>;
}

/** Calls never overlap, with each other or with a transaction of the materializer unless they say so. */
export interface TableRetention {
  /** For each entry in the order of the log: its receipt is remembered. */
  saw(entry: Pick<LogEntry, 'offset' | 'receivedAtUnixNano'>): void;
  /** Inside the transaction that is about to commit. */
  beforeCommit(): Promise<void>;
  afterCommit(): void;
  afterRollback(): void;
  /**
   * One slice of what is due, if anything is. Making the file smaller waits until the materializer is idle. Throws when the database
   * cannot go on as it is; other failures are shown and tried again.
   */
  step(projections: readonly RetainedProjection[], isIdle: boolean): Promise<void>;
  /** What a run at this moment would leave when all entries below `committed` are in the tables; null: all rows. Between transactions. */
  kept(committed: bigint): Promise<KeptRows | null>;
  /** Milliseconds until there is something to do; undefined when rows stay. */
  readonly waitMs: number | undefined;
}

/** Slices of deleted rows, at most, that later ones of the same run pass over. */
const SLICES_PASSED_OVER = 10;

type Work = AsyncGenerator<unknown, void>;

/** Reads what the tables know about the receipt of entries. */
export async function openTableRetention(options: TableRetentionOptions): Promise<TableRetention> {
  const { database, figures, clock, logger } = options;
  const limits: SliceLimits = { ...LIMITS, ...options.limits };
  const receiveTimes = await openReceiveTimes(database);
  let dueMs = clock.monotonicMs();
  let run: Work | null = null;
  let rewrite: Work | null = null;
  let rewriteDueMs = dueMs;
  // Free bytes that writing again did not give back, as something that it does not move lies behind them.
  let heldBytes = 0;
  let failures = 0;
  // A process that was killed may have left some.
  let mayBeUnreferenced = true;
  let deletedSinceCheckpoint = 0;

  async function* runOnce(projections: readonly RetainedProjection[], ageMs: number): Work {
    const now = options.now();
    const limit = now - BigInt(ageMs) * NANOS_PER_MILLI;
    const committed = projections.reduce((least, { nextOffset }) => (nextOffset < least ? nextOffset : least), LAST);
    const kept = await keptAt(now, ageMs, committed);
    if (kept !== null) {
      for (const { definition } of projections) yield* sweepTables(definition, kept);
      if (mayBeUnreferenced) for (const projection of projections) yield* sweepDimensions(projection);
      mayBeUnreferenced = false;
    }
    if (deletedSinceCheckpoint >= limits.retentionCheckpointRows) {
      await checkpoint();
      yield;
    }
    for (const { definition } of projections) yield* findOldest(definition, limit, now);
    await planRewrite();
  }

  async function keptAt(now: bigint, ageMs: number, committed: bigint): Promise<KeptRows | null> {
    const limitUnixNano = now - BigInt(ageMs) * NANOS_PER_MILLI;
    if (limitUnixNano <= 0n) return null;
    return { boundary: await receiveTimes.boundary(limitUnixNano, now, committed), limitUnixNano };
  }

  async function* sweepTables({ aging }: RetainedProjection['definition'], kept: KeptRows): Work {
    for (const [table, time] of Object.entries(aging?.rows ?? {})) {
      for (const condition of oldConditions(time, kept)) {
        for await (const rows of sweepRows(database, table, condition, limits.retentionSliceRowsMax)) {
          count(table, rows);
          mayBeUnreferenced = true;
          yield;
          // The next slice would pass over all rows deleted before it.
          if (deletedSinceCheckpoint < SLICES_PASSED_OVER * limits.retentionSliceRowsMax) continue;
          await checkpoint();
          yield;
        }
        yield;
      }
    }
  }

  async function* sweepDimensions(projection: RetainedProjection): Work {
    const slices = { scanRowsMax: limits.retentionScanRowsMax, keysMax: limits.retentionKeysMax };
    for (const dimension of projection.definition.aging?.dimensions ?? []) {
      for await (const rows of sweepDimension(database, dimension, projection, slices)) {
        count(dimension.table, rows);
        yield;
      }
    }
  }

  async function* findOldest({ aging }: RetainedProjection['definition'], limit: bigint, now: bigint): Work {
    const from = limit > 0n ? limit : 1n;
    for (const [table, time] of Object.entries(aging?.rows ?? {})) {
      if (time === null) continue;
      const oldest = await oldestTime(database, table, time, from, now);
      figures.oldestUnixMs[unversioned(table)] = oldest === null ? null : Number(oldest / NANOS_PER_MILLI);
      yield;
    }
  }

  function count(table: string, rows: number): void {
    if (rows === 0) return;
    countDeleted(figures, table, rows);
    deletedSinceCheckpoint += rows;
  }

  async function checkpoint(): Promise<void> {
    if (options.isShared?.() !== true) await database.run('CHECKPOINT');
    deletedSinceCheckpoint = 0;
  }

  async function planRewrite(): Promise<void> {
    const space = await fileSpace(database);
    figures.freeBytes = space.freeBytes;
    if (options.isShared?.() === true) return;
    if (rewrite !== null || clock.monotonicMs() < rewriteDueMs) return;
    heldBytes = Math.min(heldBytes, space.freeBytes);
    if (!isWorthRewriting({ ...space, freeBytes: space.freeBytes - heldBytes }, limits.rewriteBytesMin)) return;
    rewriteDueMs = clock.monotonicMs() + limits.rewriteIntervalMs;
    rewrite = rewriteAll();
  }

  async function* rewriteAll(): Work {
    const before = await fileSpace(database);
    logger.info('Writing the tables again to give disk back', { ...before });
    yield* rewriteTables(database, () => clock.monotonicMs());
    await checkpoint();
    const { usedBytes, freeBytes } = await fileSpace(database);
    figures.freeBytes = freeBytes;
    figures.rewrites += 1;
    heldBytes = freeBytes;
    logger.info('Tables are smaller', { usedBytes, freeBytes });
  }

  /** One slice. Returns whether it was the last one. */
  async function advance(work: Work): Promise<boolean> {
    try {
      const { done } = await work.next();
      return done === true;
    } catch (error) {
      run = null;
      rewrite = null;
      const kind = storeFailure(error);
      if (kind === 'lost' || kind === 'corrupt') throw error;
      const waitMs = Math.min(LIMITS.storeRetryMaxMs, LIMITS.storeRetryMinMs * 2 ** failures);
      failures += 1;
      dueMs = clock.monotonicMs() + waitMs;
      mayBeUnreferenced = true;
      figures.failing = errorMessage(error);
      logger.error('Retention of the tables failed', { reason: figures.failing, retryInMs: waitMs });
      return false;
    }
  }

  function ended(): void {
    run = null;
    failures = 0;
    figures.failing = null;
    figures.runs += 1;
    figures.lastRunAtUnixMs = Number(options.now() / NANOS_PER_MILLI);
    dueMs = clock.monotonicMs() + figures.intervalMs;
  }

  return {
    saw: (entry) => receiveTimes.saw(entry),
    beforeCommit: () => receiveTimes.write(),
    afterCommit: () => receiveTimes.committed(),
    afterRollback: () => receiveTimes.rolledBack(),
    async step(projections, isIdle) {
      const { ageMs } = figures;
      if (ageMs === null) return;
      if (run === null && clock.monotonicMs() >= dueMs) run = runOnce(projections, ageMs);
      if (run !== null) {
        if (await advance(run)) ended();
      } else if (options.isShared?.() === true) {
        rewrite = null;
      } else if (rewrite !== null && isIdle) {
        if (await advance(rewrite)) rewrite = null;
      }
    },
    async kept(committed) {
      return figures.ageMs === null ? null : keptAt(options.now(), figures.ageMs, committed);
    },
    get waitMs() {
      if (figures.ageMs === null) return undefined;
      return run !== null || rewrite !== null ? 0 : Math.max(0, dueMs - clock.monotonicMs());
    },
  };
}

/** Above every offset. */
const LAST = (1n << 64n) - 1n;

/** Deletes from tables that do not serve yet what a run would not leave. Yields after each slice; nobody else may write to them meanwhile. */
export async function* sweepBuilt(database: Database, built: readonly RetainedProjection[], kept: KeptRows): Work {
  for (const { definition } of built) {
    for (const [table, time] of Object.entries(definition.aging?.rows ?? {})) {
      for (const condition of oldConditions(time, kept)) yield* sweepRows(database, table, condition);
    }
  }
  for (const projection of built) {
    for (const dimension of projection.definition.aging?.dimensions ?? []) {
      yield* sweepDimension(database, dimension, projection);
    }
  }
}
