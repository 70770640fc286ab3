/**
 * `deletions.jsonl` in the log's folder: when which entries were deleted and why, for whoever misses them later. Not part of the log:
 * nothing is decided by it, and it may be deleted. One JSON object a line, oldest first; written after the files are gone, as a whole
 * under another name, so that it is never torn. What a crash kept from being written is found out at the next open.
 */
import { join } from 'node:path';
import { errorMessage, LIMITS, type Logger } from '../base/index.ts';
import type { LogFileSystem } from './file-system.ts';
import { quarantinePath } from './layout.ts';
import type { DeletionReason } from './types.ts';

/** A line of the record: segments that were deleted together. */
export interface Deletion {
  /** When, ISO 8601. */
  readonly at: string;
  /** UUID of the log. */
  readonly log: string;
  readonly from: number;
  /** Exclusive. */
  readonly to: number;
  /** Null when nobody counted. */
  readonly entries: number | null;
  readonly segments: number | null;
  readonly bytes: number | null;
  /** `unrecorded`: found to be gone at a start. `several`: older lines, summed up. */
  readonly reason: DeletionReason | 'unrecorded' | 'several';
  /** The newest receive time among them, ISO 8601. */
  readonly receivedUntil: string | null;
  /** Consumers that had not read all of it. */
  readonly passed: readonly string[];
}

export interface DeletionRecord {
  /** All entries below were deleted, null when nothing ever was. */
  readonly deletedTo: bigint | null;
  /** Adds lines. Never rejects: what cannot be written now is written with the next. */
  add(deletions: readonly Deletion[]): Promise<void>;
}

export interface DeletionRecordOptions {
  readonly directory: string;
  readonly fileSystem: LogFileSystem;
  readonly logger: Logger;
  readonly logUuid: string;
}

const FILE_NAME = 'deletions.jsonl';

/** Reads the record of a log, or begins one. A damaged one is set aside. */
export async function openDeletionRecord(options: DeletionRecordOptions): Promise<DeletionRecord> {
  const { directory, fileSystem, logger, logUuid } = options;
  const path = join(directory, FILE_NAME);
  let lines = await readLines(options);
  let isFailing = false;

  const write = async (): Promise<void> => {
    const next = `${path}.new`;
    if (fileSystem.list(directory).includes(`${FILE_NAME}.new`)) await fileSystem.remove(next);
    const bytes = Buffer.from(lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
    const file = await fileSystem.create(next);
    try {
      const written = await file.write([bytes], 0);
      if (written !== bytes.length) throw new Error(`${written} of ${bytes.length} bytes were taken`);
      await file.dataSync();
    } finally {
      await file.close();
    }
    await fileSystem.rename(next, path);
    await fileSystem.syncDirectory(directory);
  };

  return {
    get deletedTo() {
      const own = lines.findLast(({ log }) => log === logUuid);
      return own === undefined ? null : BigInt(own.to);
    },
    async add(deletions) {
      lines = bounded([...lines, ...deletions]);
      try {
        await write();
        isFailing = false;
      } catch (error) {
        if (!isFailing) logger.warn('Cannot write the record of deletions', { path, error: errorMessage(error) });
        isFailing = true;
      }
    },
  };
}

/** The lines, the older half summed up for each log when they are too many. */
function bounded(lines: readonly Deletion[]): Deletion[] {
  if (lines.length <= LIMITS.deletionRecordsMax) return [...lines];
  const half = Math.ceil(lines.length / 2);
  const sums = new Map<string, Deletion>();
  for (const line of lines.slice(0, half)) {
    const sum = sums.get(line.log);
    sums.set(line.log, sum === undefined ? line : summed(sum, line));
  }
  return [...sums.values(), ...lines.slice(half)];
}

function summed(older: Deletion, newer: Deletion): Deletion {
  const plus = (a: number | null, b: number | null) => (a === null || b === null ? null : a + b);
  return {
    ...newer,
    from: older.from,
    entries: plus(older.entries, newer.entries),
    segments: plus(older.segments, newer.segments),
    bytes: plus(older.bytes, newer.bytes),
    reason: 'several',
    passed: [...new Set([...older.passed, ...newer.passed])],
  };
}

async function readLines({ directory, fileSystem, logger }: DeletionRecordOptions): Promise<Deletion[]> {
  const path = join(directory, FILE_NAME);
  if (!fileSystem.list(directory).includes(FILE_NAME)) return [];
  try {
    const lines = textOf(fileSystem, path).split('\n');
    const parsed = lines.filter((line) => line !== '').map((line) => JSON.parse(line) as unknown);
    if (parsed.every(isDeletion)) return parsed;
    throw new Error('A line is none of a deletion');
  } catch (error) {
    const aside = join(quarantinePath(directory), `${FILE_NAME}.${Date.now()}`);
    logger.warn('Cannot read the record of deletions, it is begun anew', { path, aside, error: errorMessage(error) });
    await fileSystem.rename(path, aside).catch(() => {});
    return [];
  }
}

function textOf(fileSystem: LogFileSystem, path: string): string {
  const file = fileSystem.openForReading(path);
  try {
    const bytes = Buffer.alloc(file.size());
    return bytes.subarray(0, file.read(bytes, 0)).toString('utf8');
  } finally {
    file.close();
  }
}

function isDeletion(value: unknown): value is Deletion {
  if (typeof value !== 'object' || value === null) return false;
  const { at, log, from, to, passed } = value as Record<string, unknown>;
  const isRange = Number.isSafeInteger(from) && Number.isSafeInteger(to);
  return typeof at === 'string' && typeof log === 'string' && isRange && Array.isArray(passed);
}
