/** Projections of users over real tables in a real DuckDB file, without a log: rows are put into the tables as the materializer would. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DuckDBConnection } from '@duckdb/node-api';
import { silentLogger, systemClock } from '../../src/base/index.ts';
import { type Database, inTransaction } from '../../src/materialize/database.ts';
import { DuckDBInstance } from '../../src/materialize/duckdb.ts';
import { applyViews, migrate } from '../../src/materialize/migrator.ts';
import { createRetentionFigures } from '../../src/materialize/table-retention-figures.ts';
import {
  startUserProjections,
  type UserProjections,
  type UserProjectionsOptions,
} from '../../src/materialize/user-projections/user-projections.ts';
import type { UserProjectionStatus } from '../../src/materialize/user-projections/types.ts';

export interface UserTables {
  readonly folder: string;
  readonly connection: DuckDBConnection;
  readonly instance: DuckDBInstance;
  rows(sql: string): Promise<unknown[][]>;
  /** Writes `projections/<name>.sql`. */
  write(name: string, text: string): Promise<void>;
  remove(name: string): Promise<void>;
  start(options?: Partial<UserProjectionsOptions>): UserProjections;
  /** Commits `rowsEach` logs for each of `entries` more entries, and moves what is materialized. */
  addLogs(entries: number, rowsEach?: number): Promise<void>;
  readonly live: { offset: bigint; isCaughtUp: boolean; isStuck: boolean };
}

/** Opens tables in a folder of their own, or in `folder` again. */
export async function openUserTables(
  t: { after(fn: () => Promise<void>): void },
  reopened?: string,
): Promise<UserTables> {
  const folder = reopened ?? (await mkdtemp(join(tmpdir(), 'user-projections-')));
  const instance = await DuckDBInstance.create(join(folder, 'tables.duckdb'), {
    threads: '2',
    memory_limit: '256MB',
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
    enable_external_access: 'false',
  });
  const connection = await instance.connect();
  await connection.run('SET lock_configuration = true');
  const run = async (sql: string) => void (await connection.run(sql));
  const database: Database = {
    run,
    rows: async (sql) => (await connection.runAndReadAll(sql)).getRowObjectsJS(),
    begin: () => run('BEGIN'),
    commit: () => run('COMMIT'),
    rollback: () => run('ROLLBACK'),
  };
  await migrate(database);
  await inTransaction(database, () => applyViews(database));
  const directory = join(folder, 'projections');
  await mkdir(directory, { recursive: true });
  const started: UserProjections[] = [];
  const [[next]] = (
    await connection.runAndReadAll('SELECT coalesce(max(entry_offset) + 1, 0) FROM store.logs_v1')
  ).getRowsJS() as [[bigint]];
  const live = { offset: BigInt(next), isCaughtUp: true, isStuck: false };
  t.after(async () => {
    for (const each of started) await each.stop();
    connection.closeSync();
    instance.closeSync();
    if (reopened === undefined) await rm(folder, { recursive: true });
  });
  return {
    folder,
    connection,
    instance,
    live,
    rows: async (sql) => (await connection.runAndReadAll(sql)).getRowsJS(),
    write: (name, text) => writeFile(join(directory, `${name}.sql`), text),
    remove: (name) => rm(join(directory, `${name}.sql`)),
    start(options = {}) {
      const projections = startUserProjections({
        directory,
        connect: () => instance.connect(),
        live: {
          materializedOffset: () => live.offset,
          firstOffset: () => 0n,
          get durableOffset() {
            return live.offset;
          },
          get isCaughtUp() {
            return live.isCaughtUp;
          },
          get isStuck() {
            return live.isStuck;
          },
        },
        reservedNames: ['logs', 'traces', 'metrics'],
        inTurn: (work) => work(),
        onQuarantined() {},
        retentionFigures: createRetentionFigures(null),
        retentionNow: () => systemClock.nowUnixNano(),
        faults: new Map(),
        clock: systemClock,
        logger: silentLogger,
        ...options,
      });
      started.push(projections);
      return projections;
    },
    async addLogs(entries, rowsEach = 1) {
      const from = live.offset;
      await connection.run(`
        INSERT INTO store.logs_v1 BY NAME
        SELECT ${from}::UBIGINT + (i // ${rowsEach})::UBIGINT AS entry_offset, (i % ${rowsEach})::UINTEGER AS row,
          make_timestamp_ns(1700000000000000000 + (${from} + i // ${rowsEach}) * 1000000000) AS time,
          17 AS severity_number, 1::UTINYINT AS body_type, 'body ' || i AS body,
          MAP {'http.route': '/r' || (i % 7), 'n': i::VARCHAR} AS attributes
        FROM range(${entries * rowsEach}) AS numbers(i)`);
      live.offset += BigInt(entries);
      for (const each of started) each.advanced();
    },
  };
}

/** Polls until the projection is as wanted. */
export async function projectionUntil(
  projections: UserProjections,
  name: string,
  reached: (status: UserProjectionStatus) => boolean,
): Promise<UserProjectionStatus> {
  for (;;) {
    const found = projections.statuses.find((status) => status.name === name && reached(status));
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
