/**
 * What the index knows of itself, to notice numbers that have changed: SQLite's own check sees pages that are out of order, not a flipped
 * bit in a row. One sum over the frames and one over the segments, kept up to date with each transaction, and a CRC of everything small.
 * Reading them all at open takes about 0.1 µs a frame. Cursors are left out: whoever has one writes it.
 */
import { crc32 } from 'node:zlib';
import type Sqlite from 'better-sqlite3';
import { migrateIndex } from './index-schema.ts';
import { openSqlite } from './sqlite.ts';

/** What of an index is as it was written. */
export interface IndexVerdict {
  /** The derived rows. */
  readonly rows: boolean;
  /** What has to be right for anything else to mean something: which log it is, and where that ended. */
  readonly facts: boolean;
}

export interface IndexCheck {
  /** Compares what is there with what was noted last. An index that never noted anything has right facts and wrong rows. */
  verify(): IndexVerdict;
  /** Counts a frame that is written in this transaction, behind all others. */
  addsFrame(baseOffset: bigint): void;
  /** Writes, replaces or deletes the segment row that begins there. */
  changesSegment(baseOffset: bigint, change: () => void): void;
  /** Says that a small table changes in this transaction. */
  changesFacts(): void;
  /** Deletes the frames of segments below one, and these segments. */
  trims(firstOffset: bigint, change: () => void): void;
  /** Begins at no rows. */
  clears(): void;
  /** Notes all of it: the last act of a transaction. */
  note(): void;
  /** What `restore` brings back when a transaction fails. */
  save(): IndexSums;
  restore(sums: IndexSums): void;
}

export interface IndexSums {
  readonly frames: bigint;
  readonly segments: bigint;
  readonly factsCrc: number | null;
}

const CHECK_KEY = 'check';
/** Change without notice: whether they are right shows at once, or costs a rebuild. */
const UNCHECKED_KEYS = `('clean', 'boot_id', '${CHECK_KEY}')`;
/** A prime below 2^24: no flipped byte goes by unseen, no product leaves 64 bits, and sums of 2^39 rows do not either. */
const PRIME = 16_777_213;
const FRAME_SUM = rowSum('frames', [
  'segment',
  'position',
  'bytes',
  '"rows"',
  'crc',
  'received_at_min',
  'received_at_max',
  'stream_id_max',
]);
const SEGMENT_SUM = rowSum('segments', [
  'previous_end',
  'previous_crc',
  'stream_id_next',
  'end_offset',
  'last_crc',
  'bytes',
  'sealed',
]);
const SMALL_TABLES = [
  `SELECT * FROM meta WHERE key NOT IN ${UNCHECKED_KEYS} ORDER BY key`,
  'SELECT * FROM gaps ORDER BY 1',
  'SELECT * FROM quarantined_ranges ORDER BY 1, 2',
] as const;

/** Watches over an open, migrated index whose integers are read as bigint. */
export function createIndexCheck(database: Sqlite.Database): IndexCheck {
  const sum = (sql: string, values: Readonly<Record<string, bigint>> = {}): bigint => {
    const found = database.prepare(sql).pluck().get(values);
    // Numbers that no writer wrote can leave 64 bits: SQLite goes on with fractions then.
    return typeof found === 'bigint' ? found : -1n;
  };
  const factsCrc = (): number =>
    SMALL_TABLES.reduce((crc, sql) => {
      const rows = database.prepare(sql).all();
      return crc32(
        JSON.stringify(rows, (_key, value: unknown) => (typeof value === 'bigint' ? `${value}` : value)),
        crc,
      );
    }, 0);
  const noted = (): string | undefined =>
    database.prepare('SELECT value FROM meta WHERE key = ?').pluck().get(CHECK_KEY) as string | undefined;
  const keep = database.prepare('INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)');

  let frames = 0n;
  let segments = 0n;
  let facts: number | null = null;
  let addedFrom: bigint | null = null;
  const countAdded = (): void => {
    if (addedFrom !== null) frames += sum(`${FRAME_SUM} WHERE base_offset >= @from`, { from: addedFrom });
    addedFrom = null;
  };

  return {
    verify() {
      frames = sum(FRAME_SUM);
      segments = sum(SEGMENT_SUM);
      facts = factsCrc();
      const [framesNoted, segmentsNoted, factsNoted] = noted()?.split(' ') ?? [];
      return {
        rows: framesNoted === String(frames) && segmentsNoted === String(segments),
        facts: factsNoted === undefined || factsNoted === String(facts),
      };
    },
    addsFrame(baseOffset) {
      addedFrom ??= baseOffset;
    },
    changesSegment(baseOffset, change) {
      const one = `${SEGMENT_SUM} WHERE base_offset = @base`;
      segments -= sum(one, { base: baseOffset });
      change();
      segments += sum(one, { base: baseOffset });
    },
    changesFacts() {
      facts = null;
    },
    trims(firstOffset, change) {
      countAdded();
      frames -= sum(`${FRAME_SUM} WHERE segment < @first`, { first: firstOffset });
      segments -= sum(`${SEGMENT_SUM} WHERE base_offset < @first`, { first: firstOffset });
      facts = null;
      change();
    },
    clears() {
      frames = 0n;
      segments = 0n;
      facts = null;
      addedFrom = null;
    },
    note() {
      countAdded();
      facts ??= factsCrc();
      keep.run(CHECK_KEY, `${frames} ${segments} ${facts}`);
    },
    save: () => ({ frames, segments, factsCrc: facts }),
    restore(sums) {
      frames = sums.frames;
      segments = sums.segments;
      facts = sums.factsCrc;
      addedFrom = null;
    },
  };
}

let expectedSchema: string | null = null;

/** Whether the tables are those of the migrations, to the letter: a column of another name would answer for nothing. */
export function hasIndexSchema(database: Sqlite.Database): boolean {
  if (expectedSchema === null) {
    const fresh = openSqlite(':memory:');
    migrateIndex(fresh);
    expectedSchema = schemaOf(fresh);
    fresh.close();
  }
  return schemaOf(database) === expectedSchema;
}

function schemaOf(database: Sqlite.Database): string {
  return JSON.stringify(database.prepare('SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY 1, 2').all());
}

/**
 * A query for the sum of a table's rows. Each row's number depends on its base offset, so that values that change places are seen, and
 * values on whether they are there at all.
 */
function rowSum(table: string, columns: readonly string[]): string {
  const terms = columns.map((column, i) => `(coalesce(${column}, -1) % ${PRIME}) * ${2 * i + 3}`).join(' + ');
  const row = `((base_offset % ${PRIME} + 1) * ((${terms}) % ${PRIME})) % ${PRIME}`;
  return `SELECT coalesce(sum(${row}), 0) FROM ${table}`;
}
