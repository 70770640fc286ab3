/** Brings the index database to the schema of migrations/index. */
import { fileURLToPath } from 'node:url';
import type { Database } from 'better-sqlite3';
import { type AppliedStep, pendingSteps, readMigrationSteps } from '../base/index.ts';

const MIGRATIONS_DIRECTORY = fileURLToPath(new URL('../../migrations/index/', import.meta.url));

/**
 * Runs the steps that a database does not have yet, each in a transaction with its row in `migrations`. Throws TreasuryError
 * TREASURY_MIGRATION when a step that it has is unknown here or was changed since.
 */
export function migrateIndex(database: Database, directory: string = MIGRATIONS_DIRECTORY): void {
  database.exec(
    'CREATE TABLE IF NOT EXISTS migrations (version INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL) STRICT',
  );
  for (const step of pendingSteps(readMigrationSteps(directory), appliedSteps(database), 'log index')) {
    database.transaction(() => {
      database.exec(step.sql);
      database
        .prepare('INSERT INTO migrations (version, name, checksum) VALUES (?, ?, ?)')
        .run(step.version, step.file, step.checksum);
    })();
  }
}

/**
 * Whether the steps that a database says it has had are the first ones of this release, maybe followed by those of a later one. A database
 * that has had none, or does not know of steps, has a prefix of nothing.
 */
export function isPrefixOfSteps(database: Database, directory: string = MIGRATIONS_DIRECTORY): boolean {
  const has = database.prepare("SELECT count(*) FROM sqlite_schema WHERE name = 'migrations'").pluck().get();
  if (has === 0) return true;
  const applied = appliedSteps(database);
  return readMigrationSteps(directory).every((step, at) => {
    const found = applied[at];
    return found === undefined || (found.version === step.version && found.checksum === step.checksum);
  });
}

function appliedSteps(database: Database): AppliedStep[] {
  return database
    .prepare('SELECT version, name AS file, checksum FROM migrations ORDER BY version')
    .all() as AppliedStep[];
}
