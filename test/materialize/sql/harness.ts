/** A database in memory and the SQL runner on it, for the tests of this folder. */
import { DuckDBInstance, DuckDBTimestampNanosecondsValue } from '@duckdb/node-api';
import { tableFromIPC } from 'apache-arrow';
import type { SqlRequest } from '../../../src/materialize/index.ts';
import { createSqlRunner, type SqlRunner } from '../../../src/materialize/sql/runner.ts';

export interface SqlHarness {
  readonly runner: SqlRunner;
  /** Runs statements with all rights. */
  setup(sql: string): Promise<void>;
  /** Fills a table of one TIMESTAMP_NS column with any 64 bits. */
  appendTimes(table: string, nanos: readonly bigint[]): Promise<void>;
  /** Rows of a query through the public API: the oracle. */
  rows(sql: string): Promise<unknown[][]>;
  /** The whole answer of one request. */
  ask(query: string, options?: Partial<SqlRequest>): Promise<{ bytes: Buffer; parts: number }>;
  askText(query: string, options?: Partial<SqlRequest>): Promise<string>;
  askJson(query: string, options?: Partial<SqlRequest>): Promise<JsonAnswer>;
  askArrow(query: string, options?: Partial<SqlRequest>): Promise<ReturnType<typeof tableFromIPC>>;
  close(): void;
}

interface JsonAnswer {
  readonly columns: readonly { readonly name: string; readonly type: string }[];
  readonly rows: readonly (readonly unknown[])[];
  readonly rowCount: number;
  readonly truncated: boolean;
}

export async function openSqlHarness(): Promise<SqlHarness> {
  const instance = await DuckDBInstance.create(':memory:', { enable_external_access: 'false', threads: '2' });
  const connection = await instance.connect();
  const runner = createSqlRunner({ connect: () => instance.connect() });
  const ask: SqlHarness['ask'] = async (query, options = {}) => {
    const parts: Uint8Array[] = [];
    const request: SqlRequest = { query, format: 'json', rowsMax: 1_000_000, timeoutMs: 20_000, ...options };
    await runner.run(request, {
      emit: async (part) => {
        // Transferring proves that a part is its own memory: the sender's view must go empty and nothing else may.
        const moved = structuredClone(part, { transfer: [part.buffer as ArrayBuffer] });
        parts.push(moved);
      },
      signal: new AbortController().signal,
    });
    return { bytes: Buffer.concat(parts), parts: parts.length };
  };
  const askText: SqlHarness['askText'] = async (query, options) => (await ask(query, options)).bytes.toString();
  return {
    runner,
    ask,
    askText,
    async setup(sql) {
      await connection.run(sql);
    },
    async appendTimes(table, nanos) {
      const appender = await connection.createAppender(table);
      for (const each of nanos) {
        appender.appendTimestampNanoseconds(new DuckDBTimestampNanosecondsValue(each));
        appender.endRow();
      }
      appender.closeSync();
    },
    async rows(sql) {
      return (await connection.runAndReadAll(sql)).getRows();
    },
    async askJson(query, options) {
      return JSON.parse(await askText(query, options)) as JsonAnswer;
    },
    async askArrow(query, options) {
      return tableFromIPC((await ask(query, { ...options, format: 'arrow' })).bytes);
    },
    close() {
      connection.closeSync();
      instance.closeSync();
    },
  };
}
