/** The write connection of the store as the materializer, the migrator and the checkpoint see it. */
export interface Database {
  /** Runs one or more statements without results. Throws DuckDB's error. */
  run(sql: string): Promise<void>;
  /** Runs a query of few rows: plain values by column name (bigint for 64-bit integers). */
  rows(sql: string): Promise<Record<string, unknown>[]>;
  begin(): Promise<void>;
  commit(): Promise<void>;
  rollback(): Promise<void>;
}

/** Runs `work` in one transaction; rolls back and rethrows when it throws. */
export async function inTransaction(database: Database, work: () => Promise<void>): Promise<void> {
  await database.begin();
  try {
    await work();
    await database.commit();
  } catch (error) {
    await rollbackQuietly(database);
    throw error;
  }
}

/** Rolls back if there is still something to roll back: a failed COMMIT has ended its transaction already. */
export async function rollbackQuietly(database: Database): Promise<void> {
  try {
    await database.rollback();
  } catch {
    // The error that led here is the one to tell; a transaction that is still open shows itself at the next BEGIN.
  }
}

/** A string literal for SQL text. */
export function sqlString(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/** A name for SQL text. */
export function sqlIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** A quoted name for SQL text. */
export function sqlName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
