/**
 * DuckDB's write-ahead log after a power cut. The file system may keep the length of an append but not its bytes, which then read as
 * zeros (ext4 with a block that was there already). DuckDB takes that for damage, though it forgives an end that is missing; cut off,
 * it is one. The tables are then those of an earlier commit, checkpoints included, and the materializer goes on from there.
 */
import { closeSync, existsSync, fsyncSync, ftruncateSync, fstatSync, openSync, readSync, renameSync } from 'node:fs';

/** What DuckDB may keep beside a database: its log, the one of commits during a checkpoint, and the one it makes of both when it recovers. */
export const WAL_SUFFIXES: readonly string[] = ['.wal', '.wal.checkpoint', '.wal.recovery'];

/** Size and checksum in front of an entry; the position that DuckDB tells is behind them. */
const ENTRY_HEADER_BYTES = 16;
/** The zeros at the end are read in pieces of this size. */
const PIECE_BYTES = 64 * 1024;
/** DuckDB's words for an entry whose bytes are not those of its checksum. */
const BAD_ENTRY = /replaying WAL file .*: Corrupt WAL file: entry at byte position (\d+) computed checksum/;

/** Renames a database and all that DuckDB keeps beside it. Throws what `rename` throws, but for files that are not there. */
export function renameDatabase(from: string, to: string): void {
  for (const suffix of ['', ...WAL_SUFFIXES]) {
    if (suffix === '' || existsSync(from + suffix)) renameSync(from + suffix, to + suffix);
  }
}

/**
 * Cuts a torn end off the log of the database `file`. `reason` is what DuckDB said when it could not open it. Answers the bytes cut off,
 * null where the entry that DuckDB names was not torn: only one that ends in zeros which go on to the end of the file was (whole entries
 * end in 0xffff). Damage further in front is none of that: what follows it may tell that all before is in the database already.
 */
export function cutTornWal(file: string, reason: string): number | null {
  const match = BAD_ENTRY.exec(reason);
  if (match === null || !existsSync(`${file}.wal`)) return null;
  const entryAt = Number(match[1]);
  const wal = openSync(`${file}.wal`, 'r+');
  try {
    const { size } = fstatSync(wal);
    const header = Buffer.alloc(ENTRY_HEADER_BYTES);
    const headerAt = entryAt - ENTRY_HEADER_BYTES;
    if (headerAt < 0 || readSync(wal, header, 0, header.length, headerAt) < header.length) return null;
    const entryEnd = entryAt + Number(header.readBigUInt64LE(0));
    if (zerosFrom(wal, size) >= Math.max(entryEnd, headerAt + 1)) return null;
    ftruncateSync(wal, headerAt);
    fsyncSync(wal);
    return size - headerAt;
  } finally {
    closeSync(wal);
  }
}

/** The position from which on a file of `size` bytes holds zeros only. */
function zerosFrom(descriptor: number, size: number): number {
  const piece = Buffer.alloc(PIECE_BYTES);
  for (let end = size; end > 0; ) {
    const from = Math.max(0, end - PIECE_BYTES);
    const bytes = piece.subarray(0, readSync(descriptor, piece, 0, end - from, from));
    const last = bytes.findLastIndex((byte) => byte !== 0);
    if (last !== -1) return from + last + 1;
    end = from;
  }
  return 0;
}
