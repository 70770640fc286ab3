/** Statements and transactions on one connection, in the words of the store. */
import type { DuckDBConnection, JS } from '@duckdb/node-api';
import { errorMessage, TreasuryError } from '../base/index.ts';
import type { Database } from './database.ts';
import { discardWriters } from './table-writer.ts';

export interface ConnectionDatabase extends Database {
  rows(sql: string): Promise<Record<string, JS>[]>;
}

const NO_TRANSACTION = /no transaction is active/;

/** A connection that writes. Everything throws TREASURY_STORE; a rollback drops what table writers have not flushed. */
export function databaseOn(connection: DuckDBConnection): ConnectionDatabase {
  async function run(sql: string): Promise<void> {
    try {
      await connection.run(sql);
    } catch (error) {
      throw storeError('Cannot run a statement', error, sql);
    }
  }

  return {
    run,
    async rows(sql) {
      try {
        const reader = await connection.runAndReadAll(sql);
        return reader.getRowObjectsJS();
      } catch (error) {
        throw storeError('Cannot run a query', error, sql);
      }
    },
    begin: () => run('BEGIN'),
    commit: () => run('COMMIT'),
    async rollback() {
      try {
        await run('ROLLBACK');
      } catch (error) {
        if (!NO_TRANSACTION.test(errorMessage(error))) throw error;
      } finally {
        discardWriters(connection);
      }
    },
  };
}

const STATEMENT_SHOWN_CHARS_MAX = 200;

/** A failure of DuckDB as TREASURY_STORE. */
export function storeError(what: string, error: unknown, sql?: string): TreasuryError {
  if (error instanceof TreasuryError) return error;
  return new TreasuryError('TREASURY_STORE', `${what}: ${errorMessage(error)}`, {
    cause: error,
    facts: sql === undefined ? {} : { statement: sql.slice(0, STATEMENT_SHOWN_CHARS_MAX) },
  });
}
