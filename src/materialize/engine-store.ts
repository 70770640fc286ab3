/** The store as sessions use it: the DuckDB file with its table writers and the SQL runner on it. */
import type { Logger } from '../base/index.ts';
import type { EngineParts, SessionStore } from './engine-session.ts';
import { createSqlRunner } from './sql/runner.ts';
import { openStore } from './store.ts';
import { chooseWriter, openTableWriter } from './table-writer.ts';
import { databaseOn } from './writing-connection.ts';

/** The parts of an engine that are DuckDB. */
export function storeParts(options: {
  readonly memoryLimitMb: number;
  readonly threads: number;
}): Pick<EngineParts, 'openStore' | 'createSqlRunner'> {
  return {
    openStore: (file, logger) => openSessionStore({ ...options, file }, logger),
    createSqlRunner: (store) => createSqlRunner({ connect: () => store.connect() }),
  };
}

async function openSessionStore(
  options: { readonly file: string; readonly memoryLimitMb: number; readonly threads: number },
  logger: Logger,
): Promise<SessionStore> {
  const store = await openStore(options);
  try {
    const writer = await chooseWriter(store.connection, logger);
    return {
      run: (sql) => store.run(sql),
      rows: (sql) => store.rows(sql),
      begin: () => store.begin(),
      commit: () => store.commit(),
      rollback: () => store.rollback(),
      connect: () => store.connect(),
      openWriter: (table) => openTableWriter(writer, store.connection, 'store', table),
      async connectWriting() {
        const connection = await store.connect();
        return {
          ...databaseOn(connection),
          openWriter: (table) => openTableWriter(writer, connection, 'store', table),
          close: () => store.disconnect(connection),
        };
      },
      walBytes: () => store.walBytes(),
      diskFreeBytes: () => store.diskFreeBytes(),
      tableBytes: () => store.tableBytes(),
      writer,
      recreated: store.recreated,
      cutBytes: store.cutBytes,
      close: () => store.close(),
    };
  } catch (error) {
    await store.close();
    throw error;
  }
}
