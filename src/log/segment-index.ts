/**
 * The SQLite index of the log: where each frame is. Derived from the segments, so it is never synced and may be deleted; it is always a
 * prefix of the log, written after frames are durable. One connection.
 */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import type Sqlite from 'better-sqlite3';
import { LIMITS, refuseOtherThanFile, TreasuryError } from '../base/index.ts';
import { createIndexCheck, type IndexCheck, hasIndexSchema } from './index-check.ts';
import { isPrefixOfSteps, migrateIndex } from './index-schema.ts';
import type { DamagedRange, FrameFacts } from './segment-scan.ts';
import { openSqlite } from './sqlite.ts';

/** A row of table `segments`. Null: the header is damaged. */
export interface SegmentRow {
  readonly baseOffset: bigint;
  readonly previousEnd: bigint | null;
  readonly previousCrc: number | null;
  readonly streamIdNext: bigint | null;
  readonly endOffset: bigint;
  readonly lastCrc: number;
  readonly bytes: number;
  readonly sealed: boolean;
}

/** What the frames of a segment say together. */
export interface SegmentFacts {
  readonly entries: bigint;
  readonly receivedAtMax: bigint;
}

export interface OffsetRange {
  readonly from: bigint;
  /** Exclusive. */
  readonly to: bigint;
}

/** All derived rows of an index in key order: equal to those of a rebuild (invariant I6). */
export type IndexContent = Readonly<Record<(typeof DERIVED_TABLES)[number], readonly Record<string, unknown>[]>>;

export interface SegmentIndex {
  /** UUID of the log that was indexed, or null in a new index. */
  readonly logUuid: string | null;
  /**
   * Whether all that was written before is still there, as it was: closed cleanly, or the machine has not been restarted since. Derived
   * rows that were changed are gone when the index is open.
   */
  readonly isTrusted: boolean;
  segments(): SegmentRow[];
  /** By base offset; segments without frames are left out. */
  segmentFacts(): Map<bigint, SegmentFacts>;
  /** Last frame by offset, or null. */
  lastFrame(): Omit<FrameFacts, 'lostOffsets'> | null;
  gaps(): OffsetRange[];
  quarantinedRanges(): DamagedRange[];
  streamIdMax(): bigint;
  /** Whether the last frame and the row of each segment fit each other. What a frame says of itself is not compared. */
  isCoherent(): boolean;
  /** The highest offset that a named consumer of the log stands at, 0 without consumers. */
  cursorsEnd(logUuid: string): bigint;
  /** The end of a log as `keepEnd` noted it last, 0 when it did not. */
  keptEnd(logUuid: string): bigint;
  /** Notes where the log ends. Unlike the derived rows it outlives segments: offsets of lost entries are never given out again. */
  keepEnd(logUuid: string, end: bigint): void;
  /** Removes all derived rows and starts over for a log; cursors and the kept end stay. */
  reset(logUuid: string): void;
  /** Notes in the file, before it is changed, that it is not to be trusted. On the disk when it returns. */
  markChanging(): void;
  /** Notes in the file that it is in use: it can be trusted after a crash of the process, not of the machine. */
  markOpen(): void;
  /** Runs writes as one transaction. */
  write(writes: () => void): void;
  putSegment(row: SegmentRow): void;
  /** Adds a frame behind all others; offsets left out before it become a gap. */
  addFrame(frame: FrameFacts): void;
  addQuarantinedRange(range: DamagedRange): void;
  /** Forgets the segments below one that is kept: what is left equals a rebuild without their files. */
  trim(firstOffset: bigint): void;
  /** Everything that a rebuild would write again. */
  content(): IndexContent;
  /** Closes the file; a clean close makes it trusted at the next start. */
  close(options: { clean: boolean }): void;
}

const DERIVED_TABLES = ['segments', 'frames', 'gaps', 'quarantined_ranges'] as const;
/** What SQLite keeps beside a database goes with it. */
const INDEX_FILES = ['', '-wal', '-shm', '-journal'] as const;
const NO_ROOM = new Set<unknown>(['SQLITE_FULL', 'ENOSPC', 'EDQUOT']);
const END_SQL = 'SELECT coalesce(max(base_offset + "rows"), (SELECT min(base_offset) FROM segments)) AS o FROM frames';
const TRIM = [
  'DELETE FROM segments WHERE base_offset < @first',
  'DELETE FROM frames WHERE segment < @first',
  'DELETE FROM quarantined_ranges WHERE segment < @first',
  'DELETE FROM gaps WHERE to_offset <= @first',
  'UPDATE gaps SET from_offset = @first WHERE from_offset < @first',
] as const;
const DECIMAL = /^\d{1,20}$/;
/** Per segment it looks at two frames only, found by their key. A frame that belongs to no segment is the last below some segment. */
const CONTRADICTIONS = `
  WITH s AS (SELECT *, lead(base_offset, 1, @end) OVER (ORDER BY base_offset) AS below FROM segments)
  SELECT 1 FROM s LEFT JOIN frames AS f
    ON f.base_offset = (SELECT max(base_offset) FROM frames WHERE base_offset >= s.base_offset AND base_offset < s.below)
  WHERE s.base_offset < 0 OR s.end_offset > s.below OR s.end_offset >= @end OR s.bytes < 0
    OR s.end_offset <> coalesce(f.base_offset + f."rows", s.base_offset)
    OR f.segment <> s.base_offset OR f."rows" < 1 OR f.position < 0 OR f.bytes < 0 OR f.position + f.bytes > s.bytes
  UNION ALL
  SELECT 1 FROM frames WHERE base_offset < coalesce((SELECT min(base_offset) FROM segments), @end) OR base_offset >= @end
  LIMIT 1`;
/** A holder keeps its lock as long as it runs: waiting for it would only delay the answer. */
const LOCK_WAIT_MS = 0;
const BOOT_ID_PATH = '/proc/sys/kernel/random/boot_id';

interface OpenOptions {
  /** Opens an existing file without changing it. */
  readonly readOnly?: boolean;
}

/**
 * Opens the index at `path` (`:memory:` for none on disk), or makes it. A file that is damaged is deleted first: it can be rebuilt.
 * One of a later release is left alone, for it holds positions of consumers too: throws TREASURY_MIGRATION. One that another process
 * has open too: TREASURY_DATA_DIRECTORY_LOCKED. Throws what SQLite throws when the file cannot be written.
 */
export function openSegmentIndex(path: string, options: OpenOptions = {}): SegmentIndex {
  if (path !== ':memory:') for (const suffix of INDEX_FILES) refuseOtherThanFile(path + suffix, 'TREASURY_LOG_CORRUPT');
  if (options.readOnly === true) return createIndex(openSqlite(path, { readonly: true, fileMustExist: true }));
  try {
    return openIndex(path);
  } catch (error) {
    if (isBusy(error)) throw lockedElsewhere(path, error);
    if (isNoRoom(error)) throw error;
    if (error instanceof TreasuryError || path === ':memory:' || !existsSync(path)) throw error;
    for (const suffix of INDEX_FILES) rmSync(path + suffix, { force: true });
    return openIndex(path);
  }
}

function openIndex(path: string): SegmentIndex {
  const database = openDatabase(path);
  try {
    return createIndex(database);
  } catch (error) {
    database.close();
    throw error;
  }
}

function openDatabase(path: string): Sqlite.Database {
  const database = openSqlite(path, { timeout: LOCK_WAIT_MS });
  try {
    // Held until the file is closed, by the operating system: the data directory's lock tells holders by PID, which says nothing
    // between two containers on one volume, and a second server's recovery would cut what the first is writing.
    database.exec('PRAGMA locking_mode = EXCLUSIVE');
    // The index is derived: what a power cut takes is rebuilt, so few writes need to wait for the disk.
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; BEGIN EXCLUSIVE; COMMIT');
    if (database.prepare('PRAGMA quick_check').pluck().get() !== 'ok') throw new Error('Index does not pass its check');
    // Damage can make a file one that may only be read, which shows when it is written.
    const hasMeta = database.prepare("SELECT count(*) FROM sqlite_schema WHERE name = 'meta'").pluck().get();
    if (hasMeta !== 0) database.exec("DELETE FROM meta WHERE key = ''");
    // Steps that differ are damage; those of a later release are refused by what follows.
    if (!isPrefixOfSteps(database)) throw new Error('Index has other steps than it was made with');
    migrateIndex(database);
    if (!hasIndexSchema(database)) throw new Error('Index has other tables than its steps make');
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

/**
 * An index for a disk that has no room to write one: it goes with the process. The one that is there, if any, stays open, so that no other
 * process takes the log; where it ends is known.
 */
export function indexInMemory(file: SegmentIndex | null): SegmentIndex {
  const memory = openSegmentIndex(':memory:');
  const logUuid = file?.logUuid ?? null;
  if (file !== null && logUuid !== null) {
    const last = file.lastFrame();
    const ends = [
      file.keptEnd(logUuid),
      file.cursorsEnd(logUuid),
      last === null ? 0n : last.baseOffset + BigInt(last.rows),
    ];
    memory.keepEnd(
      logUuid,
      ends.reduce((a, b) => (a > b ? a : b)),
    );
  }
  return {
    ...memory,
    logUuid,
    isTrusted: false,
    close(options) {
      memory.close(options);
      file?.close({ clean: false });
    },
  };
}

/** Whether a disk refused to write for lack of room. */
export function isNoRoom(error: unknown): error is Error {
  return error instanceof Error && 'code' in error && NO_ROOM.has(error.code);
}

function isBusy(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'SQLITE_BUSY';
}

function lockedElsewhere(path: string, cause: unknown): TreasuryError {
  return new TreasuryError(
    'TREASURY_DATA_DIRECTORY_LOCKED',
    `Cannot open the log: ${path} is held by another process, maybe of another container or machine`,
    { cause, facts: { path } },
  );
}

function createIndex(database: Sqlite.Database): SegmentIndex {
  database.defaultSafeIntegers(true);
  const all = (sql: string) => database.prepare(sql).all() as Record<string, bigint>[];
  const one = (sql: string) => database.prepare(sql).get() as Record<string, bigint | null>;
  const meta = (key: string) =>
    database.prepare('SELECT value FROM meta WHERE key = ?').pluck().get(key) as string | undefined;
  const setMeta = database.prepare('INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)');
  const putSegment = database.prepare('INSERT OR REPLACE INTO segments VALUES (?, ?, ?, ?, ?, ?, ?, ?)');
  const addFrame = database.prepare('INSERT INTO frames VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)');
  const addGap = database.prepare('INSERT INTO gaps VALUES (?, ?)');
  const addRange = database.prepare('INSERT OR REPLACE INTO quarantined_ranges VALUES (?, ?, ?, ?)');
  const cursorsEnd = database
    .prepare('SELECT max(0, max(next_offset)) FROM cursors WHERE log_uuid = ? AND next_offset < ?')
    .pluck();
  // The end of what is indexed; null until there is a segment.
  let end: bigint | null = null;
  const check = createIndexCheck(database);
  const inTransaction = (writes: () => void): void => {
    const before = { end, sums: check.save() };
    try {
      database.transaction(() => {
        writes();
        check.note();
      })();
    } catch (error) {
      end = before.end;
      check.restore(before.sums);
      throw error;
    }
  };
  /** Changes that belong to a transaction already are noted with the rest of it. */
  const change = (writes: () => void): void => (database.inTransaction ? writes() : inTransaction(writes));
  let areRowsRight = true;
  if (!database.readonly) {
    const verdict = check.verify();
    if (!verdict.facts) throw new Error('Index says something else than was written');
    areRowsRight = verdict.rows;
    if (!areRowsRight) inTransaction(() => clearDerived(database, check));
  }
  end = one(END_SQL)['o'] ?? null;
  const boot = bootId();

  return {
    logUuid: meta('log_uuid') ?? null,
    isTrusted: areRowsRight && (meta('clean') === '1' || (boot !== null && meta('boot_id') === boot)),
    segments() {
      return all('SELECT * FROM segments ORDER BY base_offset').map((row) => ({
        baseOffset: row['base_offset']!,
        previousEnd: row['previous_end'] ?? null,
        previousCrc: row['previous_crc'] === null ? null : Number(row['previous_crc']),
        streamIdNext: row['stream_id_next'] ?? null,
        endOffset: row['end_offset']!,
        lastCrc: Number(row['last_crc']),
        bytes: Number(row['bytes']),
        sealed: row['sealed'] === 1n,
      }));
    },
    segmentFacts() {
      const sql =
        'SELECT segment, sum("rows") AS entries, max(received_at_max) AS received_at_max FROM frames GROUP BY segment';
      return new Map(
        all(sql).map((row) => [row['segment']!, { entries: row['entries']!, receivedAtMax: row['received_at_max']! }]),
      );
    },
    lastFrame() {
      const row = all('SELECT * FROM frames ORDER BY base_offset DESC LIMIT 1')[0];
      if (row === undefined) return null;
      return {
        segment: row['segment']!,
        position: Number(row['position']),
        bytes: Number(row['bytes']),
        baseOffset: row['base_offset']!,
        rows: Number(row['rows']),
        crc: Number(row['crc']),
        receivedAtMin: row['received_at_min']!,
        receivedAtMax: row['received_at_max']!,
        streamIdMax: row['stream_id_max']!,
      };
    },
    gaps() {
      return all('SELECT * FROM gaps ORDER BY from_offset').map((row) => ({
        from: row['from_offset']!,
        to: row['to_offset']!,
      }));
    },
    quarantinedRanges() {
      return all('SELECT * FROM quarantined_ranges ORDER BY segment, position').map((row) => ({
        segment: row['segment']!,
        position: Number(row['position']),
        bytes: Number(row['bytes']),
        reason: String(row['reason']),
      }));
    },
    streamIdMax() {
      return one('SELECT max(stream_id_max) AS id FROM frames')['id'] ?? 0n;
    },
    cursorsEnd(logUuid) {
      return (cursorsEnd.get(logUuid, BigInt(LIMITS.baseOffsetMax)) as bigint | null) ?? 0n;
    },
    keptEnd(logUuid) {
      const text = meta(keptEndKey(logUuid)) ?? '';
      return DECIMAL.test(text) && BigInt(text) < LIMITS.baseOffsetMax ? BigInt(text) : 0n;
    },
    isCoherent: () => database.prepare(CONTRADICTIONS).all({ end: BigInt(LIMITS.baseOffsetMax) }).length === 0,
    keepEnd(logUuid, keptEnd) {
      change(() => {
        check.changesFacts();
        setMeta.run(keptEndKey(logUuid), String(keptEnd));
      });
    },
    reset(logUuid) {
      change(() => {
        clearDerived(database, check);
        setMeta.run('log_uuid', logUuid);
        end = null;
      });
    },
    markChanging() {
      synced(database, () => {
        setMeta.run('clean', '0');
        setMeta.run('boot_id', '');
      });
    },
    markOpen() {
      setMeta.run('boot_id', boot ?? '');
    },
    write: inTransaction,
    putSegment(row) {
      const { baseOffset, previousEnd, previousCrc, streamIdNext, endOffset, lastCrc, bytes, sealed } = row;
      const values = [previousEnd, previousCrc, streamIdNext, endOffset, lastCrc, bytes, sealed ? 1 : 0];
      change(() => check.changesSegment(baseOffset, () => putSegment.run(baseOffset, ...values)));
      end ??= baseOffset;
    },
    addFrame(frame) {
      const gaps = offsetRuns(frame.lostOffsets);
      if (end !== null && frame.baseOffset > end) gaps.unshift({ from: end, to: frame.baseOffset });
      if (gaps.length > 0) check.changesFacts();
      for (const { from, to } of gaps) addGap.run(from, to);
      check.addsFrame(frame.baseOffset);
      const { baseOffset, segment, position, bytes, rows, crc, receivedAtMin, receivedAtMax, streamIdMax } = frame;
      addFrame.run(baseOffset, segment, position, bytes, rows, crc, receivedAtMin, receivedAtMax, streamIdMax);
      end = baseOffset + BigInt(rows);
    },
    addQuarantinedRange({ segment, position, bytes, reason }) {
      check.changesFacts();
      addRange.run(segment, position, bytes, reason);
    },
    trim(firstOffset) {
      check.trims(firstOffset, () => {
        for (const sql of TRIM) database.prepare(sql).run({ first: firstOffset });
      });
      if (end !== null && end < firstOffset) end = firstOffset;
    },
    content() {
      const rows = DERIVED_TABLES.map((table) => [
        table,
        database.prepare(`SELECT * FROM ${table} ORDER BY 1, 2`).all(),
      ]);
      return Object.fromEntries(rows) as IndexContent;
    },
    close({ clean }) {
      try {
        if (clean) synced(database, () => setMeta.run('clean', '1'));
      } finally {
        database.close();
      }
    },
  };
}

function clearDerived(database: Sqlite.Database, check: IndexCheck): void {
  for (const table of DERIVED_TABLES) database.exec(`DELETE FROM ${table}`);
  check.clears();
}

/**
 * Writes what decides over trust in everything else: behind all that was written before, and on the disk before all that comes after.
 * Otherwise a power cut could leave a file that calls itself clean and whose pages are of several times.
 */
function synced(database: Sqlite.Database, write: () => void): void {
  database.exec('PRAGMA synchronous = FULL; PRAGMA wal_checkpoint(TRUNCATE)');
  write();
  database.exec('PRAGMA wal_checkpoint(TRUNCATE); PRAGMA synchronous = OFF');
}

/** Of a log by name: after another log's segments were put in its place, its offsets mean nothing. */
function keptEndKey(logUuid: string): string {
  return `kept_end ${logUuid}`;
}

/** Neighbouring offsets as ranges. */
function offsetRuns(offsets: readonly bigint[]): OffsetRange[] {
  const runs: { from: bigint; to: bigint }[] = [];
  for (const offset of offsets) {
    const last = runs.at(-1);
    if (last?.to === offset) last.to = offset + 1n;
    else runs.push({ from: offset, to: offset + 1n });
  }
  return runs;
}

/** What the kernel calls this run of the machine, or null on systems that do not say. */
function bootId(): string | null {
  try {
    return readFileSync(BOOT_ID_PATH, 'utf8').trim();
  } catch {
    return null;
  }
}
