/** What an error of the store means for the materializer. DuckDB's errors differ in their first words only. */
import { errorMessage } from '../base/index.ts';

/**
 * - `lost`: the database instance refuses everything from now on; it must be closed and opened again.
 * - `corrupt`: its file is not what was written; the tables must be built anew.
 * - `unavailable`: disk, files or memory of the machine; the same work may succeed later.
 * - `memory`: this transaction is too large for the memory limit as long as queries hold their share.
 * - `data`: these rows are refused.
 */
export type StoreFailure = 'lost' | 'corrupt' | 'unavailable' | 'memory' | 'data';

const LOST =
  /FATAL Error|INTERNAL Error|database has been invalidated|Connection Error|connection (was )?closed|disconnected/i;
const UNAVAILABLE =
  /^(TransactionContext Error: Failed to commit: )?(IO Error|Permission Error)|No space left|disk is full|Could not (write|read|open|truncate|sync)|Input\/output error|Read-only file system|Too many open files/i;
const MEMORY = /Out of Memory Error|failed to (allocate|offload|pin block)/i;

const CORRUPT = /Corrupt database file|checksum .{0,80}does not match|Serialization Error|not a valid DuckDB database/i;
const DATA = /^(Conversion|Constraint|Invalid Input|Invalid type|Mismatch Type|Out of Range|Binder|Catalog) Error/i;

/** Classifies anything thrown by begin, flush or commit. */
export function storeFailure(error: unknown): StoreFailure {
  const message = rootMessage(error);
  // These quote values, which may hold any words.
  if (DATA.test(message)) return 'data';
  if (CORRUPT.test(message)) return 'corrupt';
  if (LOST.test(message)) return 'lost';
  if (MEMORY.test(message)) return 'memory';
  return UNAVAILABLE.test(message) ? 'unavailable' : 'data';
}

/** Whether a reader has found the file damaged. Stricter than `storeFailure`: errors of queries quote what users wrote. */
export function isDamagedFile(error: unknown): boolean {
  return /^(IO|FATAL) Error: Corrupt database file/i.test(rootMessage(error));
}

/** Whether an instance was lost for what it was given rather than for the machine under it. */
export function blamesData(error: unknown): boolean {
  const message = rootMessage(error);
  return /INTERNAL Error/i.test(message) && !UNAVAILABLE.test(message) && !/IO Error/.test(message);
}

/** The message of the error that the others wrap: DuckDB's own. */
function rootMessage(error: unknown): string {
  let root = error;
  while (root instanceof Error && root.cause instanceof Error) root = root.cause;
  return errorMessage(root);
}
