/** What retention has done to the tables since the engine's start. Outlives a store that had to be opened again. */
import { LIMITS } from '../base/index.ts';
import type { TablesRetentionStatus } from './types.ts';

/** `TablesRetentionStatus` as retention fills it in. */
export interface RetentionFigures {
  readonly ageMs: number | null;
  readonly intervalMs: number;
  runs: number;
  lastRunAtUnixMs: number | null;
  readonly rowsDeleted: Record<string, number>;
  oldestUnixMs: Record<string, number | null>;
  failing: string | null;
  freeBytes: number;
  rewrites: number;
}

/** Figures before the first run. */
export function createRetentionFigures(ageMs: number | null): RetentionFigures {
  return {
    ageMs,
    intervalMs: retentionIntervalMs(ageMs ?? Number.POSITIVE_INFINITY),
    runs: 0,
    lastRunAtUnixMs: null,
    rowsDeleted: {},
    oldestUnixMs: {},
    failing: null,
    freeBytes: 0,
    rewrites: 0,
  };
}

/** A copy that stays as it is. */
export function retentionStatus(figures: RetentionFigures): TablesRetentionStatus {
  return { ...figures, rowsDeleted: { ...figures.rowsDeleted }, oldestUnixMs: { ...figures.oldestUnixMs } };
}

/** Adds deleted rows of a physical table to its total. */
export function countDeleted(figures: RetentionFigures, table: string, rows: number): void {
  const name = unversioned(table);
  figures.rowsDeleted[name] = (figures.rowsDeleted[name] ?? 0) + rows;
}

/** Rows deleted of all tables. */
export function deletedRows({ rowsDeleted }: RetentionFigures): number {
  return Object.values(rowsDeleted).reduce((sum, rows) => sum + rows, 0);
}

/** The name of a physical table without its version. */
export function unversioned(table: string): string {
  return table.replace(/_v\d+(__next)?$/, '');
}

function retentionIntervalMs(ageMs: number): number {
  const { tablesRetentionIntervalMinMs, tablesRetentionIntervalMaxMs } = LIMITS;
  return Math.max(tablesRetentionIntervalMinMs, Math.min(tablesRetentionIntervalMaxMs, Math.floor(ageMs / 10)));
}
