/** A DuckDB, opened with what holds for every one of this program. */
import type { DuckDBConnection } from '@duckdb/node-api';
import { DuckDBInstance } from './duckdb.ts';

export interface InstanceOptions {
  readonly memoryLimitMb: number;
  readonly threads: number;
  /** Further settings, by DuckDB's names. */
  readonly settings: Readonly<Record<string, string>>;
}

/** An instance and its first connection. */
export interface OpenedInstance {
  readonly instance: DuckDBInstance;
  readonly connection: DuckDBConnection;
}

/** Opens `path`, a file or `:memory:`, and has `prepare` make it ready; closes it again when that throws. Throws DuckDB's error. */
export async function openInstance(
  path: string,
  { memoryLimitMb, threads, settings }: InstanceOptions,
  prepare: (connection: DuckDBConnection) => Promise<void> = async () => {},
): Promise<OpenedInstance> {
  const instance = await DuckDBInstance.create(path, {
    threads: String(threads),
    memory_limit: `${memoryLimitMb}MB`,
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
    // Memory that DuckDB has freed goes back to the system after ten seconds. Otherwise hundreds of MB stay: the threads that call it are
    // Node's, and it tidies up behind its own only.
    allocator_background_threads: 'true',
    ...settings,
  });
  try {
    const connection = await instance.connect();
    // Answers must not depend on the machine's zone.
    await connection.run("SET GLOBAL TimeZone = 'UTC'");
    await prepare(connection);
    return { instance, connection };
  } catch (error) {
    instance.closeSync();
    throw error;
  }
}
