import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { TestContext } from 'node:test';
import { DuckDBInstance } from '@duckdb/node-api';
import type { ProjectionContext, Projector } from '../../../src/materialize/projection.ts';
import { PROJECTIONS } from '../../../src/materialize/projections/projections.ts';
import { openRawTableWriter } from '../../../src/materialize/raw-table-writer.ts';
import type { CanonicalBatch } from '../../../src/otap/index.ts';
import { plainRow, type Row } from './rows.ts';

const MIGRATIONS = fileURLToPath(new URL('../../../migrations/duckdb/', import.meta.url));

/** A DuckDB in memory with the tables, the views and the projections of the release. */
export async function openStore(t: TestContext) {
  const instance = await DuckDBInstance.create(':memory:', { threads: '1' });
  const connection = await instance.connect();
  const run = async (sql: string): Promise<void> => void (await connection.run(sql));
  const rows = async (sql: string): Promise<Row[]> =>
    (await connection.runAndReadAll(sql)).getRowObjects().map((row) => plainRow(row));
  await run('CREATE SCHEMA meta');
  for (const folder of ['', 'views/']) {
    const files = (await readdir(`${MIGRATIONS}${folder}`)).filter((file) => file.endsWith('.sql')).toSorted();
    for (const file of files) await run(await readFile(`${MIGRATIONS}${folder}${file}`, 'utf8'));
  }
  const context: ProjectionContext = {
    run,
    rows,
    openWriter: (table) => openRawTableWriter(connection, 'store', table),
  };
  const projectors = new Map<string, Projector>();
  for (const definition of PROJECTIONS) projectors.set(definition.signal, await definition.start(context));
  t.after(() => {
    for (const projector of projectors.values()) projector.close();
    connection.closeSync();
    instance.closeSync();
  });
  const all = [...projectors.values()];
  return {
    connection,
    rows,
    run,
    /** Projects without a transaction of its own. */
    project(batch: CanonicalBatch, offset = 7n): number {
      return projectors.get(batch.signal)!.project({ offset, receivedAtUnixNano: 0n }, batch);
    },
    async beforeCommit() {
      for (const projector of all) await projector.beforeCommit();
    },
    afterCommit() {
      for (const projector of all) projector.afterCommit();
    },
    afterRollback() {
      for (const projector of all) projector.afterRollback();
    },
    /** One transaction of batches with offsets from `offset` on. */
    async commit(batches: readonly CanonicalBatch[], offset = 7n): Promise<void> {
      await run('BEGIN');
      for (const [i, batch] of batches.entries()) this.project(batch, offset + BigInt(i));
      await this.beforeCommit();
      await run('COMMIT');
      this.afterCommit();
    },
  };
}
