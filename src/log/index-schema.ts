/** Brings the index database to the schema of migrations/index. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import type { Database } from 'better-sqlite3';
import { TreasuryError } from '../base/index.ts';

const MIGRATIONS = new URL('../../migrations/index/', import.meta.url);

/**
 * Runs the steps that a database does not have yet, each in a transaction with its row in `migrations`. Throws TreasuryError
 * TREASURY_MIGRATION when a step that it has is unknown here or has another checksum.
 */
export function migrateIndex(database: Database): void {
  database.exec(
    'CREATE TABLE IF NOT EXISTS migrations (version INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL) STRICT',
  );
  const done = new Map(
    (database.prepare('SELECT version, checksum FROM migrations').all() as { version: number; checksum: string }[]).map(
      ({ version, checksum }) => [version, checksum],
    ),
  );
  const steps = readSteps();
  for (const [version, checksum] of done) {
    if (steps.find((step) => step.version === version)?.checksum !== checksum) {
      throw new TreasuryError(
        'TREASURY_MIGRATION',
        `Cannot use the log index: step ${version} is not the one it was made with`,
      );
    }
  }
  for (const step of steps) {
    if (done.has(step.version)) continue;
    database.transaction(() => {
      database.exec(step.sql);
      database
        .prepare('INSERT INTO migrations (version, name, checksum) VALUES (?, ?, ?)')
        .run(step.version, step.name, step.checksum);
    })();
  }
}

function readSteps(): { version: number; name: string; checksum: string; sql: string }[] {
  return readdirSync(MIGRATIONS)
    .filter((name) => /^\d{4}_\w+\.sql$/.test(name))
    .sort()
    .map((name) => {
      const sql = readFileSync(new URL(name, MIGRATIONS), 'utf8');
      const checksum = createHash('sha256').update(sql).digest('hex');
      return { version: Number(name.slice(0, 4)), name, checksum, sql };
    });
}
