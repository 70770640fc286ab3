/** Keeps a copy of what stands behind the last good frame of a segment, before it is cut off. */
import { join } from 'node:path';
import { LogUnavailableError } from '../base/index.ts';
import type { LogFileSystem } from './file-system.ts';
import { quarantinePath, segmentFileName, segmentPath } from './layout.ts';
import { isNoRoom } from './segment-index.ts';
import type { SegmentScan } from './segment-scan.ts';

/**
 * Copies the tail of a segment into the quarantine; it is on the disk, with its name, when this resolves. Rejects with what the disk
 * says, and with LogUnavailableError when it did not take all of it.
 */
export async function copyTail(
  { directory, fileSystem }: { readonly directory: string; readonly fileSystem: LogFileSystem },
  scan: Pick<SegmentScan, 'baseOffset' | 'bytes' | 'fileBytes'>,
): Promise<void> {
  const source = fileSystem.openForReading(segmentPath(directory, scan.baseOffset));
  const tail = Buffer.alloc(scan.fileBytes - scan.bytes);
  try {
    source.read(tail, scan.bytes);
  } finally {
    source.close();
  }
  const folder = quarantinePath(directory);
  const taken = new Set(fileSystem.list(folder));
  let name = `${segmentFileName(scan.baseOffset)}.${scan.bytes}.torn`;
  for (let i = 2; taken.has(name); i++) name = `${segmentFileName(scan.baseOffset)}.${scan.bytes}.${i}.torn`;
  const copy = await fileSystem.create(join(folder, name));
  try {
    const written = await copy.write([tail], 0);
    // The tail is cut only once all of it is kept: a full disk must not take it.
    if (written !== tail.length) throw fullDisk(name, written, tail.length);
    await copy.dataSync();
  } catch (error) {
    await fileSystem.remove(join(folder, name)).catch(() => {});
    throw error;
  } finally {
    await copy.close();
  }
  await fileSystem.syncDirectory(folder);
}

/** Whether a tail could not be copied for want of room: it stays where it is. */
export function hasNoRoomForTail(error: unknown): error is Error {
  return isNoRoom(error) || error instanceof LogUnavailableError;
}

function fullDisk(name: string, written: number, bytes: number): LogUnavailableError {
  return new LogUnavailableError(
    `Cannot keep a copy of a torn write in ${name}: ${written} of ${bytes} bytes were taken`,
  );
}
