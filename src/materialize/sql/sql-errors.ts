/** DuckDB's failures as TreasuryErrors. */
import { errorMessage, TreasuryError } from '../../base/index.ts';

/** Why a query was stopped from outside, or null. */
export type StopReason = 'cancelled' | 'timeout' | null;

/**
 * The error of a failed query. DuckDB's text is kept whole: it names the position (`LINE 2: … ^`), which is also given as fact `line`.
 * Statements that DuckDB refuses are TREASURY_QUERY_INVALID; out of memory is TREASURY_QUERY_LIMIT; a fault of the store is
 * TREASURY_STORE.
 */
export function sqlError(error: unknown, stopped: StopReason, timeoutMs: number): TreasuryError {
  if (stopped === 'timeout') {
    return new TreasuryError('TREASURY_QUERY_LIMIT', `Cannot finish the query: it ran longer than ${timeoutMs} ms`, {
      facts: { timeoutMs },
    });
  }
  if (stopped === 'cancelled') return new TreasuryError('TREASURY_QUERY_CANCELLED', 'The query was cancelled');
  if (error instanceof TreasuryError) return error;
  const message = errorMessage(error).replace(/^Failed to extract statements: /, '');
  if (message.startsWith('Out of Memory Error')) {
    return new TreasuryError('TREASURY_QUERY_LIMIT', `Cannot run the query within the memory limit: ${message}`, {
      cause: error,
    });
  }
  if (/^(IO|FATAL|Fatal|INTERNAL|Internal) Error/.test(message)) {
    return new TreasuryError('TREASURY_STORE', `Cannot run the query: ${message}`, { cause: error });
  }
  return invalidQuery(`Cannot run the query: ${message}`, error);
}

/** A query that can never run as it is. */
export function invalidQuery(message: string, cause?: unknown): TreasuryError {
  const line = /^LINE (\d+):/m.exec(message)?.[1];
  return new TreasuryError('TREASURY_QUERY_INVALID', message, {
    ...(cause === undefined ? {} : { cause }),
    ...(line === undefined ? {} : { facts: { line: Number(line) } }),
  });
}
