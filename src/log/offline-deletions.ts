/** What the record of deletions says to whoever looks at a log without a server. Changes nothing, unlike `deletion-record.ts`. */
import { join } from 'node:path';
import { type LogFileSystem, realFileSystem } from './file-system.ts';

/** Segments that retention deleted together. */
export interface RecordedDeletion {
  /** ISO 8601. */
  readonly at: string;
  readonly from: bigint;
  /** Exclusive. */
  readonly to: bigint;
  /** Null when nobody counted. */
  readonly segments: number | null;
  readonly bytes: number | null;
  readonly reason: string;
}

const FILE_NAME = 'deletions.jsonl';

interface ReadOptions {
  readonly fileSystem?: LogFileSystem;
  /** Default: those of any log. */
  readonly logUuid?: string | null;
}

/** The deletions of a log in order; lines that cannot be read are left out. */
export function readDeletions(directory: string, options: ReadOptions = {}): RecordedDeletion[] {
  const { fileSystem = realFileSystem, logUuid = null } = options;
  if (!fileSystem.list(directory).includes(FILE_NAME)) return [];
  const file = fileSystem.openForReading(join(directory, FILE_NAME));
  let text: string;
  try {
    const bytes = Buffer.alloc(file.size());
    text = bytes.subarray(0, file.read(bytes, 0)).toString('utf8');
  } finally {
    file.close();
  }
  return text.split('\n').flatMap((line) => {
    const deletion = parseLine(line);
    return deletion === null || (logUuid !== null && deletion.log !== logUuid) ? [] : [deletion];
  });
}

function parseLine(line: string): (RecordedDeletion & { readonly log: string }) | null {
  let value: Record<string, unknown> | null;
  try {
    value = JSON.parse(line) as Record<string, unknown> | null;
  } catch {
    return null;
  }
  const { at, log, from, to, segments, bytes, reason } = value ?? {};
  if (typeof at !== 'string' || typeof log !== 'string' || typeof reason !== 'string') return null;
  if (!Number.isSafeInteger(from) || !Number.isSafeInteger(to)) return null;
  const count = (field: unknown) => (typeof field === 'number' ? field : null);
  return {
    at,
    log,
    from: BigInt(from as number),
    to: BigInt(to as number),
    segments: count(segments),
    bytes: count(bytes),
    reason,
  };
}
