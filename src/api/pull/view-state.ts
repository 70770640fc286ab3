/** What the tables hold of a view, and whether they are still the ones that an answer was begun with. */
import { TreasuryError } from '../../base/index.ts';
import { rowsOf } from './offsets.ts';
import type { PulledView } from './views.ts';

type StateServices = Parameters<typeof rowsOf>[0];

/** One file of tables, and how far it is for a view. A file that was begun anew is another one, even if it has caught up. */
export interface ViewPlace {
  readonly file: string;
  /** Rows of all entries below are in the view. */
  readonly nextOffset: bigint;
}

export interface ViewState extends ViewPlace {
  /** The first offset that the view has a row of, `nextOffset` when it has none. */
  readonly firstOffset: bigint;
}

/** What is there of a view now. Rejects with TreasuryError of the engine. */
export async function viewState(services: StateServices, view: PulledView): Promise<ViewState> {
  const place = await viewPlace(services, view);
  // Asked second: what retention removes in between is gone then, too.
  const [[first]] = (await rowsOf(services, `SELECT min(entry_offset)::VARCHAR FROM ${view.source}`)) as [
    [string | null],
  ];
  const { nextOffset } = place;
  const found = first === null ? nextOffset : BigInt(first);
  return { ...place, firstOffset: found < nextOffset ? found : nextOffset };
}

/** The same without the beginning, which has to be looked for. */
export async function viewPlace(services: StateServices, { name }: PulledView): Promise<ViewPlace> {
  const [[file, next]] = (await rowsOf(
    services,
    `SELECT (SELECT applied_at::VARCHAR || ' ' || checksum FROM meta.migrations WHERE version = 1), min(next_offset)::VARCHAR
     FROM (
       SELECT next_offset FROM meta.projections WHERE state = 'serving' UNION ALL
       SELECT next_offset FROM projected.checkpoints WHERE state = 'serving' AND projection = $1
     )`,
    [name.replace(/^main\./, '')],
  )) as [[string, string | null]];
  return { file, nextOffset: BigInt(next ?? 0) };
}

/**
 * Throws TREASURY_PULL_UNAVAILABLE unless all rows of the entries below `to` were in `begun` when they were read just now: tables that
 * were lost look empty while they are built anew, not incomplete.
 */
export function refuseOtherTables(view: PulledView, begun: ViewPlace, now: ViewPlace, to: bigint): void {
  if (now.file === begun.file && now.nextOffset >= to) return;
  throw new TreasuryError(
    'TREASURY_PULL_UNAVAILABLE',
    `Cannot go on with ${view.name}: its tables were begun anew and are at offset ${now.nextOffset}`,
    { retryable: true, facts: { materializedOffset: String(now.nextOffset) } },
  );
}
