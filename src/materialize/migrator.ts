/**
 * Brings a database to the shape that this release expects. `NNNN_name.sql` steps run once each, in order; `views/*.sql` hold
 * nothing but views and macros over the tables and run at every start, so that a changed view needs no step.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type MigrationStep, pendingSteps, readMigrationSteps, TreasuryError } from '../base/index.ts';
import { type Database, inTransaction, sqlString } from './database.ts';

/** `migrations/duckdb`, found beside `src` and beside `dist`. */
export const MIGRATIONS_DIRECTORY = fileURLToPath(new URL('../../migrations/duckdb/', import.meta.url));

/**
 * Applies the steps that the database does not have yet, each in a transaction together with its row in `meta.migrations`.
 * Returns the file names applied. Throws TreasuryError TREASURY_MIGRATION when an applied step was changed since, when the
 * database has steps that this release does not know, or when a step fails (nothing of that step remains).
 */
export async function migrate(database: Database, directory: string = MIGRATIONS_DIRECTORY): Promise<string[]> {
  await database.run(`
    CREATE SCHEMA IF NOT EXISTS meta;
    CREATE TABLE IF NOT EXISTS meta.migrations (
      version UINTEGER NOT NULL, file VARCHAR NOT NULL, checksum VARCHAR NOT NULL, applied_at TIMESTAMP NOT NULL
    )`);
  const rows = await database.rows('SELECT version, file, checksum FROM meta.migrations ORDER BY version');
  const pending = pendingSteps(
    readMigrationSteps(directory),
    rows.map((row) => ({
      version: Number(row['version']),
      file: String(row['file']),
      checksum: String(row['checksum']),
    })),
    'database',
  );
  for (const step of pending) await applyStep(database, step);
  return pending.map((step) => step.file);
}

/** Runs all of `views/*.sql` in the order of their names. Call it inside a transaction: readers see all views change at once. */
export async function applyViews(database: Database, directory: string = MIGRATIONS_DIRECTORY): Promise<void> {
  const folder = join(directory, 'views');
  for (const file of await sqlFiles(folder)) {
    try {
      await database.run(await readFile(join(folder, file), 'utf8'));
    } catch (error) {
      throw migrationError(`Cannot create the views of ${file}: ${String(error)}`, { file }, error);
    }
  }
}

async function applyStep(database: Database, step: MigrationStep): Promise<void> {
  try {
    await inTransaction(database, async () => {
      await database.run(step.sql);
      await database.run(
        `INSERT INTO meta.migrations VALUES (${step.version}, ${sqlString(step.file)}, '${step.checksum}', now()::TIMESTAMP)`,
      );
    });
  } catch (error) {
    throw migrationError(
      `Cannot apply ${step.file}: ${String(error)}`,
      { version: step.version, file: step.file },
      error,
    );
  }
}

async function sqlFiles(directory: string): Promise<string[]> {
  return (await readdir(directory).catch(absentIsEmpty)).filter((name) => name.endsWith('.sql')).sort();
}

function absentIsEmpty(error: NodeJS.ErrnoException): string[] {
  if (error.code === 'ENOENT') return [];
  throw error;
}

function migrationError(message: string, facts: Record<string, string | number>, cause?: unknown): TreasuryError {
  return new TreasuryError('TREASURY_MIGRATION', message, { facts, cause });
}
