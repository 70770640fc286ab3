/**
 * The lock of a data directory: a file that names the process which uses it. Node has no flock, so a dead holder's file stays and is
 * recognised by its PID, and by the process's start time where the kernel tells it (a PID may have been given to another process).
 */
import { randomBytes } from 'node:crypto';
import { linkSync, readFileSync, renameSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { refuseOtherThanFile, TreasuryError } from '../base/index.ts';
import { makeDurableDirectory } from './durable-directory.ts';

/** A lock that is held. */
export interface DataDirectoryLock {
  readonly path: string;
  /** Gives the directory free. Never throws: a lock file that stays is recognised as stale. */
  release(): void;
}

interface Holder {
  readonly pid: number;
  /** Of the process, in the kernel's ticks after its own start; null where that is not known. */
  readonly startTicks: string | null;
  readonly bootId: string | null;
}

/** Takeovers of stale locks that others may win before this one gives up. */
const ATTEMPTS_MAX = 16;

/**
 * Locks a data directory (made when missing) for this process. Throws TREASURY_DATA_DIRECTORY_LOCKED with the holder's PID when another
 * process, or this one, holds it; else what the file system throws.
 */
export function acquireDataDirectoryLock(directory: string): DataDirectoryLock {
  makeDurableDirectory(directory);
  const path = join(directory, 'lock');
  const own = JSON.stringify(describeProcess(process.pid));
  // Linked into place whole, so that nobody ever reads half a lock.
  const draft = `${path}.${process.pid}.${randomBytes(4).toString('hex')}`;
  try {
    writeFileSync(draft, own, { flag: 'wx' });
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      if (linkNew(draft, path)) return { path, release: () => release(path, own) };
      refuseOtherThanFile(path, 'TREASURY_DATA_DIRECTORY_LOCKED');
      refuseIfHeld(directory, read(path));
      takeAway(directory, path);
    }
  } finally {
    rmSync(draft, { force: true });
  }
  throw new TreasuryError(
    'TREASURY_DATA_DIRECTORY_LOCKED',
    `Cannot lock ${directory}: other processes are starting on it`,
  );
}

function release(path: string, own: string): void {
  try {
    if (read(path) === own) unlinkSync(path);
  } catch {
    // The directory is gone or read-only: the next process finds the holder dead.
  }
}

/** Moves a stale lock away. Should another process have replaced it in between, its lock is put back. */
function takeAway(directory: string, path: string): void {
  const aside = `${path}.stale.${randomBytes(4).toString('hex')}`;
  try {
    renameSync(path, aside);
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return;
    throw error;
  }
  try {
    refuseIfHeld(directory, read(aside));
  } catch (error) {
    linkNew(aside, path);
    throw error;
  } finally {
    unlinkSync(aside);
  }
}

function refuseIfHeld(directory: string, content: string | null): void {
  const holder = content === null ? null : parseHolder(content);
  if (holder === null || !isAlive(holder)) return;
  throw new TreasuryError(
    'TREASURY_DATA_DIRECTORY_LOCKED',
    `Cannot use data directory ${directory}: process ${holder.pid} holds it`,
    { facts: { directory, pid: holder.pid } },
  );
}

function isAlive(holder: Holder): boolean {
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    // EPERM: it lives, as another user.
    if (!hasCode(error, 'EPERM')) return false;
  }
  const now = describeProcess(holder.pid);
  if (holder.bootId !== null && now.bootId !== null && holder.bootId !== now.bootId) return false;
  return holder.startTicks === null || now.startTicks === null || holder.startTicks === now.startTicks;
}

function describeProcess(pid: number): Holder {
  const stat = read(`/proc/${pid}/stat`);
  // The process name, in parentheses, may hold anything; field 22 is the 20th behind it.
  const startTicks = stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null;
  return { pid, startTicks, bootId: read('/proc/sys/kernel/random/boot_id')?.trim() ?? null };
}

function parseHolder(content: string): Holder | null {
  try {
    const holder = JSON.parse(content) as Partial<Holder> | null;
    // Zero and below mean groups of processes to kill(2), and would always be alive.
    if (!Number.isSafeInteger(holder?.pid) || holder!.pid! <= 0) return null;
    return { pid: holder!.pid!, startTicks: holder!.startTicks ?? null, bootId: holder!.bootId ?? null };
  } catch {
    return null;
  }
}

function linkNew(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return false;
    throw error;
  }
}

function read(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (hasCode(error, 'ENOENT') || hasCode(error, 'ESRCH')) return null;
    throw error;
  }
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
