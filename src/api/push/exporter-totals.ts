/** What an exporter has done since the server started, over all its runs. */
import type { ExporterProgress } from './types.ts';

const COUNTS = [
  'sentBatches',
  'sentItems',
  'sentBytes',
  'retries',
  'resentBatches',
  'filteredItems',
  'setAsideEntries',
] as const;

/** Those that not every protocol has. */
const OPTIONAL_COUNTS = ['rejectedItems', 'orphanRows'] as const;

export type ExporterTotals = Readonly<Record<(typeof COUNTS | typeof OPTIONAL_COUNTS)[number], number>> & {
  readonly lostEntries: bigint;
};

export interface TotalsOfRuns {
  /** The counts of the present run, which begin with 0. */
  take(progress: ExporterProgress): void;
  /** What comes next belongs to another run. */
  endRun(): void;
  readonly totals: ExporterTotals;
}

/** Nothing yet. */
export function createTotals(): TotalsOfRuns {
  let before: ExporterTotals = NOTHING;
  let run: ExporterTotals = NOTHING;
  return {
    take(progress) {
      const { rejectedItems = 0, orphanRows = 0 } = progress;
      run = { ...progress, rejectedItems, orphanRows };
    },
    endRun() {
      before = sum(before, run);
      run = NOTHING;
    },
    get totals() {
      return sum(before, run);
    },
  };
}

const NOTHING: ExporterTotals = {
  sentBatches: 0,
  sentItems: 0,
  sentBytes: 0,
  retries: 0,
  resentBatches: 0,
  filteredItems: 0,
  rejectedItems: 0,
  orphanRows: 0,
  setAsideEntries: 0,
  lostEntries: 0n,
};

function sum(one: ExporterTotals, other: ExporterTotals): ExporterTotals {
  const names = [...COUNTS, ...OPTIONAL_COUNTS] as const;
  const counts = Object.fromEntries(names.map((name) => [name, one[name] + other[name]]));
  return { ...(counts as Omit<ExporterTotals, 'lostEntries'>), lostEntries: one.lostEntries + other.lostEntries };
}
