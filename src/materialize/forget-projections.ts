import { type Database, inTransaction, sqlString } from './database.ts';
import type { ProjectionDefinition } from './projection.ts';

/** Empties the tables of projections by name and sets their checkpoints back to the beginning of the log, all or nothing. */
export async function forgetProjections(
  database: Database,
  definitions: readonly ProjectionDefinition[],
  names: readonly string[],
): Promise<void> {
  const chosen = definitions.filter(({ name }) => names.includes(name));
  if (chosen.length === 0) return;
  await inTransaction(database, async () => {
    for (const { name, version, tables } of chosen) {
      for (const table of tables) await database.run(`DELETE FROM store."${table}"`);
      const own = `projection = ${sqlString(name)} AND version = ${version}`;
      // One that is being built anew goes on where it was.
      await database.run(
        `DELETE FROM meta.quarantine WHERE ${own}; UPDATE meta.projections SET next_offset = 0, first_offset = 0 WHERE ${own} AND state <> 'rebuilding'`,
      );
    }
  });
}
