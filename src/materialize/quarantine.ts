/** Log entries that could not become rows: written in the transaction that passes them by, counted, shown, never lost. */
import { LIMITS } from '../base/index.ts';
import type { Checkpoint } from './checkpoint.ts';
import { type Database, sqlString } from './database.ts';
import { DEADLY_REASON } from './entry-attempts.ts';
import { NEXT_SUFFIX } from './projection-versions.ts';
import type { QuarantinedEntry } from './types.ts';

/** The projection of an entry that belongs to none. */
export const NO_PROJECTION = '*';

/** Under which name records of a projection stand: those of a rebuild apart, until it serves. */
export function quarantineName({ definition, state }: Pick<Checkpoint, 'definition' | 'state'>): string {
  return state === 'rebuilding' ? definition.name + NEXT_SUFFIX : definition.name;
}

/** An entry on its way into `meta.quarantine`. */
export interface QuarantineRecord extends QuarantinedEntry {
  readonly version: number;
  readonly streamId: bigint;
  readonly atUnixNano: bigint;
}

/** Those of a rebuild repeat what is there. */
const SHOWN = `NOT suffix(projection, ${sqlString(NEXT_SUFFIX)})`;

/** The quarantine of one database. Records wait until their transaction commits. */
export interface Quarantine {
  /** Entries in the table, of all running versions. */
  readonly total: number;
  /** The newest ones in the table, newest first. */
  readonly newest: readonly QuarantinedEntry[];
  /** Why the engine must not touch an entry of the table again, or undefined. */
  deadlyReason(offset: bigint): string | undefined;
  /** Records of the open transaction. */
  readonly pending: number;
  add(record: QuarantineRecord): void;
  /** Before COMMIT: writes the pending records. */
  write(): Promise<void>;
  /** After COMMIT. */
  committed(): void;
  /** After ROLLBACK: the replay finds them again. */
  rolledBack(): void;
  /** Counts and shows one that somebody else has written and committed. */
  addCommitted(entry: QuarantinedEntry): void;
}

/** Reads what is in quarantine. */
export async function openQuarantine(database: Database): Promise<Quarantine> {
  const counted = await database.rows(`SELECT count(*) AS total FROM meta.quarantine WHERE ${SHOWN}`);
  let total = Number(counted[0]?.['total'] ?? 0);
  const rows = await database.rows(
    `SELECT entry_offset, projection, reason FROM meta.quarantine WHERE ${SHOWN}
     ORDER BY entry_offset DESC, projection LIMIT ${LIMITS.quarantineShownMax}`,
  );
  let newest: QuarantinedEntry[] = rows.map((row) => ({
    offset: BigInt(row['entry_offset'] as bigint),
    projection: String(row['projection']),
    reason: String(row['reason']),
  }));
  const deadly = new Map<bigint, string>();
  const dead = `SELECT entry_offset, reason FROM meta.quarantine WHERE starts_with(reason, ${sqlString(DEADLY_REASON)})`;
  for (const row of await database.rows(dead)) deadly.set(BigInt(row['entry_offset'] as bigint), String(row['reason']));
  let pending: QuarantineRecord[] = [];

  return {
    get total() {
      return total;
    },
    get newest() {
      return newest;
    },
    deadlyReason: (offset) => deadly.get(offset),
    get pending() {
      return pending.length;
    },
    add(record) {
      pending.push({ ...record, reason: storableReason(record.reason) });
    },
    async write() {
      if (pending.length === 0) return;
      await database.run(`INSERT INTO meta.quarantine VALUES ${pending.map(rowLiteral).join(', ')}`);
    },
    committed() {
      total += pending.length;
      for (const { offset, reason } of pending) if (reason.startsWith(DEADLY_REASON)) deadly.set(offset, reason);
      const shown = pending.map(({ offset, projection, reason }) => ({ offset, projection, reason })).reverse();
      newest = [...shown, ...newest].slice(0, LIMITS.quarantineShownMax);
      pending = [];
    },
    rolledBack() {
      pending = [];
    },
    addCommitted(entry) {
      total += 1;
      newest = [entry, ...newest].slice(0, LIMITS.quarantineShownMax);
    },
  };
}

function rowLiteral(record: QuarantineRecord): string {
  const { offset, projection, version, reason, streamId, atUnixNano } = record;
  return `(${offset}, ${sqlString(projection)}, ${version}, ${sqlString(reason)}, ${streamId}, make_timestamp_ns(${atUnixNano}))`;
}

/** Reasons quote names from the wire: what VARCHAR or a screen cannot take is replaced, and a long one ends in an ellipsis. */
function storableReason(reason: string): string {
  const text = Buffer.from(reason, 'utf8').toString('utf8').replaceAll('\0', '\u{fffd}');
  const max = LIMITS.quarantineReasonCharsMax;
  return text.length > max ? `${Buffer.from(text.slice(0, max - 1), 'utf8').toString('utf8')}…` : text;
}
