/** One exporter in the main thread: its configuration, its cursor, and what its runs have told. */
import type { Logger } from '../../base/index.ts';
import type { Cursor, LogStatus } from '../../log/index.ts';
import { type ExporterFrom, shownConfig } from './exporter-config.ts';
import { createTotals, type ExporterTotals } from './exporter-totals.ts';
import type { LagClock } from './lag-clock.ts';
import type { PushThread } from './push-thread.ts';
import { createSetAsideFile, type SetAsideStatus } from './set-aside-file.ts';
import type { ExporterConfig, ExporterProgress, ExporterState, PushEvent } from './types.ts';

/** What an exporter is and does. Header values are not in it. */
export interface ExporterStatus {
  readonly config: ExporterConfig;
  readonly state: ExporterState;
  /** Why it does not get on, or null. */
  readonly error: string | null;
  /** The protocol that is used instead of the one asked for, and why; or null. */
  readonly fallback: string | null;
  /** Everything below is acknowledged, set aside or filtered out. */
  readonly ackedOffset: bigint;
  readonly readOffset: bigint;
  readonly lagEntries: bigint;
  /** Null: not known, since that was before this server started. */
  readonly lagSeconds: number | null;
  readonly totals: ExporterTotals;
  readonly setAside: SetAsideStatus;
  /** Why its place cannot be made durable, or null. */
  readonly cursorFailing: string | null;
}

export interface Exporter {
  config: ExporterConfig;
  readonly from: ExporterFrom | null;
  readonly cursor: Cursor;
  /** Begins to send, unless it is paused. */
  run(): void;
  /** Resolves when nothing is under way and what it told is kept. */
  halt(): Promise<void>;
  take(event: PushEvent): void;
  /** Its thread is gone. */
  lost(reason: string): void;
  status(log: Pick<LogStatus, 'durableOffset'>): ExporterStatus;
}

export interface ExporterParts {
  readonly cursor: Cursor;
  readonly thread: Pick<PushThread, 'start' | 'stop' | 'down'>;
  readonly lag: LagClock;
  readonly setAsidePath: string;
  readonly logger: Logger;
}

/** An exporter that does not run yet. */
export function createExporter(
  initial: { readonly config: ExporterConfig; readonly from: ExporterFrom | null },
  { cursor, thread, lag, setAsidePath, logger }: ExporterParts,
): Exporter {
  const { name } = initial.config;
  const totals = createTotals();
  const setAside = createSetAsideFile(setAsidePath, name, logger);
  let progress: ExporterProgress | null = null;
  let lostReason: string | null = null;

  function told(next: ExporterProgress): void {
    if (next.state === 'failed' && progress?.state !== 'failed') {
      logger.error('An exporter does not get on', { exporter: name, error: next.error });
    }
    progress = next;
    lostReason = null;
    totals.take(next);
    // What was set aside below is on the disk first: a crash must not lose its trace.
    if (setAside.isIdle) cursor.advance(next.ackedOffset);
    else void setAside.idle().then(() => cursor.advance(next.ackedOffset));
  }

  function state(): ExporterState {
    if (cursor.status.paused) return 'paused';
    if (thread.down !== null) return 'failed';
    return lostReason === null ? (progress?.state ?? 'idle') : 'retrying';
  }

  return {
    ...initial,
    cursor,
    run() {
      if (cursor.status.paused) return;
      progress = null;
      lostReason = null;
      thread.start(this.config, () => cursor.status.offset);
    },
    async halt() {
      await thread.stop(name);
      await setAside.idle();
      totals.endRun();
      progress = null;
      lostReason = null;
    },
    take(event) {
      if (event.type !== 'set-aside') return told(event.progress);
      logger.warn('Entries were set aside', {
        exporter: name,
        entries: event.entries.length,
        offset: event.entries[0]?.offset,
        reason: event.entries[0]?.reason,
      });
      void setAside.append(event.entries);
    },
    lost(reason) {
      lostReason = reason;
      totals.endRun();
    },
    status({ durableOffset }) {
      const { offset, failing } = cursor.status;
      const readOffset = progress?.readOffset ?? offset;
      return {
        config: shownConfig(this.config),
        state: state(),
        error: thread.down ?? lostReason ?? progress?.error ?? null,
        fallback: progress?.fallback ?? null,
        ackedOffset: offset,
        readOffset: readOffset < offset ? offset : readOffset,
        lagEntries: durableOffset > offset ? durableOffset - offset : 0n,
        lagSeconds: lag.secondsSince(offset, durableOffset),
        totals: totals.totals,
        setAside: setAside.status,
        cursorFailing: failing,
      };
    },
  };
}
