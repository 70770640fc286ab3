/** A materializer's loop with everything that it works with, on one connection. */
import type { Checkpoint } from './checkpoint.ts';
import type { WriterDatabase } from './engine-session.ts';
import { createMaterializer } from './materializer.ts';
import type { Materializer, MaterializerOptions, RunningProjection } from './materializer-types.ts';
import type { ProjectionDefinition, Projector } from './projection.ts';
import type { SeriesNumbers } from './projections/series-numbers.ts';
import { openQuarantine, type Quarantine } from './quarantine.ts';
import type { TableRetention } from './table-retention.ts';

export interface Loop {
  readonly materializer: Materializer;
  readonly quarantine: Quarantine;
  readonly retention: TableRetention | null;
  readonly projectors: ReadonlyMap<ProjectionDefinition, Projector>;
  /** Tells `listener` from now on when the loop begins to wait for news, and when it goes on. */
  onWaiting(listener: (isWaiting: boolean) => void): void;
  /** Closes the writers of a loop that has ended. */
  close(): void;
}

/** What belongs to one loop; everything else is the same for all. */
export type OwnLoopOptions = Pick<
  MaterializerOptions,
  'pace' | 'takeOver' | 'takeOverEntries' | 'afterCommit' | 'statesBytesMax' | 'commitIntervalMs' | 'onWaiting'
>;

export type OpenLoop = (
  connection: WriterDatabase,
  checkpoints: readonly Checkpoint[],
  own: OwnLoopOptions,
) => Promise<Loop>;

interface LoopOptions extends Omit<MaterializerOptions, 'database' | 'projections' | 'quarantine'> {
  /** One for all loops of a database. */
  readonly seriesNumbers: SeriesNumbers;
}

/** Starts the projectors and makes the loop, which does not run yet. */
export async function openLoop(
  connection: WriterDatabase,
  checkpoints: readonly Checkpoint[],
  options: LoopOptions,
): Promise<Loop> {
  const projections: RunningProjection[] = [];
  const listeners: ((isWaiting: boolean) => void)[] = [];
  for (const checkpoint of checkpoints) {
    const projector = await checkpoint.definition.start({
      openWriter: (table) => connection.openWriter(table),
      run: (sql) => connection.run(sql),
      rows: (sql) => connection.rows(sql),
      seriesNumbers: options.seriesNumbers,
    });
    projections.push({ checkpoint, projector });
  }
  const quarantine = await openQuarantine(connection);
  const materializer = createMaterializer({
    ...options,
    database: connection,
    projections,
    quarantine,
    onWaiting: (isWaiting) => {
      options.onWaiting?.(isWaiting);
      for (const listener of listeners) listener(isWaiting);
    },
  });
  return {
    materializer,
    quarantine,
    retention: options.retention ?? null,
    projectors: new Map(projections.map(({ checkpoint, projector }) => [checkpoint.definition, projector])),
    onWaiting: (listener) => void listeners.push(listener),
    close() {
      for (const { projector } of projections) projector.close();
    },
  };
}
