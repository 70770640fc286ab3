/** `treasury log verify`. */
import { join, resolve } from 'node:path';
import type { Config } from '../config.ts';
import { acquireDataDirectoryLock, checkLog, type LogEntry, type LogFinding } from '../log/index.ts';
import { createDirectoryDecoder } from './directory-decoder.ts';
import { jsonLine } from './json-line.ts';
import { createProgress } from './progress.ts';
import { bytesText } from './quantity-text.ts';
import { writeOut } from './write-out.ts';

const INDEX_FILE = 'index.sqlite';

/**
 * Reads the whole log and writes what is wrong with it, as it is found; memory does not grow with the log. Exit code 1 when something
 * is. Throws TREASURY_DATA_DIRECTORY_LOCKED while a server uses the directory: what it is writing would look torn.
 */
export async function logVerify(directory: string, { data, format }: Config): Promise<number> {
  const release = lockOf(resolve(data));
  try {
    const asJson = format !== 'table';
    const decoder = await createDirectoryDecoder(directory);
    const decodeFault = (entry: LogEntry) => {
      const decoded = decoder.decode(entry);
      return typeof decoded === 'string' ? decoded : null;
    };
    const progress = createProgress({ verb: 'Verified', amountText: bytesText });
    const counts = new Map<LogFinding['kind'], number>();
    for (const { findings, bytesDone, bytesTotal, offset } of checkLog(directory, { decodeFault })) {
      for (const finding of findings) {
        counts.set(finding.kind, (counts.get(finding.kind) ?? 0) + 1);
        const path = join(directory, finding.segment ?? INDEX_FILE);
        progress.clear();
        await writeOut(asJson ? jsonLine({ ...finding, path }) : findingLine(finding, path));
      }
      progress.at(bytesDone, bytesTotal, `offset ${offset}`);
    }
    progress.end();
    if (!asJson) await writeOut(summary(counts));
    return counts.size === 0 ? 0 : 1;
  } finally {
    release();
  }
}

/** Nobody can write to a read-only disk, and no lock either. */
function lockOf(data: string): () => void {
  try {
    const lock = acquireDataDirectoryLock(data);
    return () => lock.release();
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EROFS') return () => {};
    throw error;
  }
}

function findingLine({ kind, position, bytes, offset, message }: LogFinding, path: string): string {
  const places = [
    ...(position === null ? [] : [bytes === null ? `byte ${position}` : `bytes ${position}-${position + bytes - 1}`]),
    ...(offset === null ? [] : [`offset ${offset}`]),
  ];
  return `${[kind, path, ...(places.length === 0 ? [] : [places.join(' ')]), message].join('  ')}\n`;
}

function summary(counts: ReadonlyMap<string, number>): string {
  if (counts.size === 0) return 'The log is whole\n';
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
  const kinds = [...counts].map(([kind, count]) => `${count} ${kind}`).join(', ');
  return `${total} ${total === 1 ? 'finding' : 'findings'}: ${kinds}\n`;
}
