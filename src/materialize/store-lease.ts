/**
 * Who holds the DuckDB file. DuckDB's own lock keeps other processes out, but a process may open the same file twice without an
 * error and then loses rows, and closing the second drops the lock for both. So every open goes through here: once a thread, and
 * with a lease file beside the database once a process.
 */
import { existsSync, readdirSync, readFileSync, readlinkSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { TreasuryError } from '../base/index.ts';

export interface StoreLease {
  /** Gives the file free. Call it when the database is closed. */
  release(): void;
}

const DESCRIPTORS = '/proc/self/fd';
const held = new Set<string>();

/**
 * Takes the lease of a database file whose folder exists. Throws TREASURY_STORE when a thread of this process has it. Leases of
 * other processes are left to DuckDB's lock, which dies with its process.
 */
export function takeStoreLease(file: string): StoreLease {
  const path = join(realpathSync(dirname(file)), basename(file));
  const leaseFile = `${path}.lease`;
  if (held.has(path) || isHeldByOtherThread(path, leaseFile)) {
    throw new TreasuryError('TREASURY_STORE', `Cannot open the tables a second time in one process: file is ${file}`, {
      facts: { file, pid: process.pid },
    });
  }
  writeFileSync(leaseFile, `${process.pid}\n`);
  held.add(path);
  return {
    release() {
      if (held.delete(path)) rmSync(leaseFile, { force: true });
    },
  };
}

/**
 * Process ids come back (in a container it is the same one at every start), so a lease of our own id may be a dead one. Where the
 * system shows open descriptors they decide; elsewhere the lease does.
 */
function isHeldByOtherThread(path: string, leaseFile: string): boolean {
  if (existsSync(DESCRIPTORS)) return openFiles().includes(path);
  try {
    return readFileSync(leaseFile, 'utf8').trim() === String(process.pid);
  } catch {
    return false;
  }
}

function openFiles(): string[] {
  return readdirSync(DESCRIPTORS).flatMap((descriptor) => {
    try {
      return [readlinkSync(join(DESCRIPTORS, descriptor))];
    } catch {
      // Closed between the listing and now.
      return [];
    }
  });
}
