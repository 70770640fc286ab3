/**
 * Compares the index of a log directory with what its segments say (invariant I6), segment by segment: memory does not grow with the
 * log. Changes nothing.
 */
import { copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { indexPath } from './layout.ts';
import { indexScan, isTailDamage } from './recovery.ts';
import { openSegmentIndex } from './segment-index.ts';
import type { SegmentScan } from './segment-scan.ts';
import { openSqlite } from './sqlite.ts';

/** Calls come in the order of the segments. All answers are texts that say what the index has wrong; none when it is right. */
export interface IndexComparison {
  /** UUID of the log that was indexed, or null in an index of none. */
  readonly logUuid: string | null;
  compare(scan: SegmentScan, limitOffset: bigint | null): string[];
  /** Whether the index knows entries of a segment. */
  knowsEntries(segment: bigint): boolean;
  /** Entries below were durable, as far as the index says. */
  entriesEnd(): bigint;
  /** What the index holds beside all segments. */
  finish(): string[];
  close(): void;
}

/** Opens the index for comparison, or returns null when there is none. Throws what SQLite throws when it cannot be read. */
export function openIndexComparison(directory: string): IndexComparison | null {
  const path = indexPath(directory);
  if (!existsSync(path)) return null;
  try {
    return openComparison(path, () => {});
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'SQLITE_CANTOPEN')) throw error;
    return openCopy(path);
  }
}

/** SQLite has to write beside a file with a write-ahead log, even to read it: on a read-only disk that is done to a copy. */
function openCopy(path: string): IndexComparison {
  const folder = mkdtempSync(join(tmpdir(), 'treasury-index-'));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  try {
    const copy = join(folder, 'index.sqlite');
    copyFileSync(path, copy);
    if (existsSync(`${path}-wal`)) copyFileSync(`${path}-wal`, `${copy}-wal`);
    return openComparison(copy, remove);
  } catch (error) {
    remove();
    throw error;
  }
}

function openComparison(path: string, onClosed: () => void): IndexComparison {
  const found = openSqlite(path, { readonly: true, fileMustExist: true });
  try {
    found.defaultSafeIntegers(true);
    const uuid = found.prepare("SELECT value FROM meta WHERE key = 'log_uuid'").pluck().get() as string | undefined;
    return new Comparison(found, uuid ?? null, onClosed);
  } catch (error) {
    found.close();
    throw error;
  }
}

/** As SQLite gives it: integers are bigint. */
type Row = Readonly<Record<string, bigint | string | null>>;

/** The table's column that names the segment. */
const SEGMENT_COLUMNS = { segments: 'base_offset', frames: 'segment', quarantined_ranges: 'segment' } as const;

class Comparison implements IndexComparison {
  readonly logUuid: string | null;
  readonly #found: ReturnType<typeof openSqlite>;
  readonly #onClosed: () => void;
  /** What the index should hold of the last segments. */
  readonly #expected = openSegmentIndex(':memory:');
  readonly #compared = new Set<bigint>();
  /** Gaps that begin below were compared. */
  #end = 0n;

  constructor(found: ReturnType<typeof openSqlite>, logUuid: string | null, onClosed: () => void) {
    this.#found = found;
    this.#onClosed = onClosed;
    this.logUuid = logUuid;
  }

  compare(scan: SegmentScan, limitOffset: bigint | null): string[] {
    const tail = limitOffset !== null && isTailDamage(scan, limitOffset) ? scan.tail : null;
    indexScan(this.#expected, scan, { limitOffset, tail });
    this.#compared.add(scan.baseOffset);
    const content = this.#expected.content() as Readonly<Record<string, readonly Row[]>>;
    const texts: string[] = [];
    for (const [table, column] of Object.entries(SEGMENT_COLUMNS)) {
      const expected = content[table]!.filter((row) => row[column] === scan.baseOffset);
      const found = this.#rows(`SELECT * FROM ${table} WHERE ${column} = ? ORDER BY 1, 2`, scan.baseOffset);
      texts.push(...differences(table, found, expected));
    }
    const end = scan.frames.length > 0 ? scan.endOffset : this.#end;
    const gaps = content['gaps']!.filter((row) => (row['from_offset'] as bigint) >= this.#end);
    const range = 'from_offset >= ? AND from_offset < ?';
    texts.push(
      ...differences('gaps', this.#rows(`SELECT * FROM gaps WHERE ${range} ORDER BY 1`, this.#end, end), gaps),
    );
    this.#end = end;
    // Not behind a segment without frames: the gap in front of the next one begins before it.
    if (scan.frames.length > 0) this.#expected.trim(scan.baseOffset);
    return texts;
  }

  knowsEntries(segment: bigint): boolean {
    return this.#rows('SELECT 1 FROM frames WHERE segment = ? LIMIT 1', segment).length > 0;
  }

  entriesEnd(): bigint {
    const ends = this.#rows(
      `SELECT max(base_offset + "rows") AS entries_end FROM frames
        UNION ALL SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'kept_end ' || ?`,
      this.logUuid ?? '',
    );
    return ends.reduce((end, { entries_end: one }) => (typeof one === 'bigint' && one > end ? one : end), 0n);
  }

  finish(): string[] {
    const texts: string[] = [];
    for (const [table, column] of Object.entries(SEGMENT_COLUMNS)) {
      for (const row of this.#rows(`SELECT DISTINCT ${column} AS segment FROM ${table} ORDER BY 1`)) {
        const segment = row['segment'] as bigint;
        if (!this.#compared.has(segment))
          texts.push(`index table ${table} knows a segment ${segment}, which is not there`);
      }
    }
    const gaps = this.#rows('SELECT * FROM gaps WHERE from_offset >= ? ORDER BY 1', this.#end);
    return [...texts, ...differences('gaps', gaps, [])];
  }

  close(): void {
    this.#found.close();
    this.#expected.close({ clean: false });
    this.#onClosed();
  }

  #rows(sql: string, ...parameters: readonly (bigint | string)[]): Row[] {
    return this.#found.prepare(sql).all(...parameters) as Row[];
  }
}

/** One text for a table that differs: where rows are only missing at the end, it is behind; with more rows it is ahead. */
function differences(table: string, found: readonly Row[], expected: readonly Row[]): string[] {
  const at = expected.findIndex((row, i) => i >= found.length || rowText(found[i]!) !== rowText(row));
  if (at === -1 && found.length <= expected.length) return [];
  const counts = `${found.length} of ${expected.length} rows`;
  if (at === -1) {
    return [
      `index is ahead of the segments: table ${table} has ${counts}, the first too many is ${rowText(found[expected.length]!)}`,
    ];
  }
  if (at === found.length) {
    return [
      `index is behind the segments: table ${table} has ${counts}, the first missing is ${rowText(expected[at]!)}`,
    ];
  }
  return [`index table ${table} has ${rowText(found[at]!)}, the segments say ${rowText(expected[at]!)}`];
}

function rowText(row: Row): string {
  const fields = Object.entries(row).map(([name, value]) => `${name} ${value}`);
  return `(${fields.join(', ')})`;
}
