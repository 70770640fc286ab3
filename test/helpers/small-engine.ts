/**
 * An engine of small parts around a real DuckDB: records are JSON, state is a map of names, projections keep one table of
 * (entry_offset, row, value). What is tested with it is the loop, not decoding.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { BatchMalformedError, type Signal, SIGNAL_CODES } from '../../src/base/index.ts';
import { type DurablePosition, ENTRY_KINDS, type LogEntry, type LogReader } from '../../src/log/index.ts';
import type { SessionStore } from '../../src/materialize/engine-session.ts';
import { databaseOn } from '../../src/materialize/writing-connection.ts';
import { MIGRATIONS_DIRECTORY } from '../../src/materialize/migrator.ts';
import type { ProjectionDefinition, Projector } from '../../src/materialize/projection.ts';
import type { CanonicalBatch, StreamDecoder } from '../../src/otap/index.ts';

/** A record: `set` changes the stream's state, `use` names state that the rows take, `rows` is how many there are. */
export interface SmallRecord {
  readonly set?: Readonly<Record<string, string>>;
  readonly use?: string;
  readonly rows?: number;
  /** What the projection does with it: `malformed` and `bug` throw in `project`, `refused` in `beforeCommit`. */
  readonly fault?: 'malformed' | 'bug' | 'refused' | 'undecodable';
  readonly padBytes?: number;
}

export interface SmallEntry {
  readonly kind?: number;
  readonly stream?: bigint;
  readonly segment?: bigint;
  readonly offset?: bigint;
  readonly signal?: Signal;
  readonly signalCode?: number;
  readonly flags?: number;
  readonly record?: SmallRecord | string;
}

/** Entries with offsets one after the other, where they name none. */
export function smallEntries(entries: readonly SmallEntry[]): LogEntry[] {
  let next = 0n;
  return entries.map((entry) => {
    const offset = entry.offset ?? next;
    next = offset + 1n;
    const { record = {} } = entry;
    return {
      offset,
      receivedAtUnixNano: 1_700_000_000_000_000_000n + offset,
      streamId: entry.stream ?? 1n,
      streamSeq: 0,
      batchId: offset,
      signal: entry.signalCode ?? SIGNAL_CODES[entry.signal ?? 'logs'],
      kind: entry.kind ?? ENTRY_KINDS.BAR,
      flags: entry.flags ?? 0,
      headers: new Map(),
      record: Buffer.from(typeof record === 'string' ? record : JSON.stringify(record)),
      segment: entry.segment ?? 0n,
    };
  });
}

export function positionAt(durableOffset: bigint): DurablePosition {
  return { durableOffset, segment: 0n, segmentBytes: 0 };
}

/** A log in memory. `entries` may grow while readers read. */
export function smallReader(
  entries: readonly LogEntry[],
  from: bigint,
  bound: DurablePosition,
  frameEntries = 3,
): LogReader {
  let durable = bound.durableOffset;
  const segment = entries.findLast((entry) => entry.offset <= from)?.segment ?? 0n;
  let at = entries.findIndex((entry) => entry.segment === segment);
  if (at < 0) at = 0;
  return {
    skipped: [],
    advance(position) {
      durable = position.durableOffset;
    },
    nextFrame() {
      const frame: LogEntry[] = [];
      while (frame.length < frameEntries && at < entries.length && entries[at]!.offset < durable)
        frame.push(entries[at++]!);
      return frame.length === 0 ? null : frame;
    },
    close() {},
  };
}

interface SmallBatch {
  readonly record: SmallRecord;
  readonly value: string;
}

export function smallDecoder(signal: Signal): StreamDecoder {
  let state = new Map<string, string>();
  const parse = (record: Uint8Array): SmallRecord => {
    try {
      return JSON.parse(Buffer.from(record).toString()) as SmallRecord;
    } catch (error) {
      state = new Map();
      throw new BatchMalformedError('Cannot parse the record', {}, error);
    }
  };
  const apply = (record: SmallRecord) => {
    for (const [name, value] of Object.entries(record.set ?? {})) state.set(name, value);
  };
  return {
    signal,
    get stateBytes() {
      return [...state.values()].reduce((sum, value) => sum + value.length, 0);
    },
    restoreState(record) {
      state = new Map();
      apply(parse(record));
    },
    applyState(record) {
      apply(parse(record));
    },
    decode(bytes) {
      const record = parse(bytes);
      apply(record);
      if (record.fault === 'undecodable') throw new BatchMalformedError('Cannot decode: told so');
      const value = record.use === undefined ? '' : state.get(record.use);
      if (value === undefined) throw new BatchMalformedError(`Unknown name: ${record.use}`);
      return { signal, repairedStrings: 1, record, value } as unknown as CanonicalBatch;
    },
  };
}

/** OTLP entries have the records of streams, without state before them. */
export function decodeSmallOtlp(signal: Signal, entry: LogEntry): CanonicalBatch {
  return smallDecoder(signal).decode(entry.record);
}

/** Writes `rows` rows a batch; tables are `store.<name>_v<version>`. */
export function smallProjection(name: Signal, version = 1): ProjectionDefinition {
  const own = `${name}_v${version}`;
  return {
    name,
    version,
    signal: name,
    tables: [own],
    async start(context) {
      const table = context.tableName?.(own) ?? own;
      let pending: string[] = [];
      let refused = false;
      const projector: Projector = {
        project(entry, batch) {
          const { record, value } = batch as unknown as SmallBatch;
          if (record.fault === 'malformed') throw new BatchMalformedError('Cannot project: told so');
          const rows = record.rows ?? 1;
          for (let row = 0; row < rows; row++) pending.push(`(${entry.offset}, ${row}, '${value}')`);
          if (record.fault === 'bug') throw new TypeError('project broke half way');
          if (record.fault === 'refused') refused = true;
          return rows;
        },
        async beforeCommit() {
          await context.run(`INSERT INTO store.${table} VALUES ${pending.join(', ')}`);
          if (refused) await context.run("SELECT 'refused'::INTEGER");
        },
        afterCommit() {
          pending = [];
        },
        afterRollback() {
          pending = [];
          refused = false;
        },
        close() {},
      };
      return projector;
    },
  };
}

/** A folder of migrations: the meta tables of the product, one step per table of small projections, one view per name. */
export async function smallMigrations(
  directory: string,
  definitions: readonly ProjectionDefinition[],
): Promise<string> {
  await mkdir(join(directory, 'views'), { recursive: true });
  const meta = ['0001_meta.sql', '0006_versions.sql', '0008_switches.sql'].map((name) =>
    readFile(join(MIGRATIONS_DIRECTORY, name), 'utf8'),
  );
  await writeFile(join(directory, '0001_meta.sql'), (await Promise.all(meta)).join('\n'));
  let step = 1;
  for (const { name, version } of definitions) {
    step += 1;
    const table = `${name}_v${version}`;
    await writeFile(
      join(directory, `${String(step).padStart(4, '0')}_${table}.sql`),
      `CREATE TABLE store.${table} (entry_offset UBIGINT, row UINTEGER, value VARCHAR);\n`,
    );
    await writeFile(
      join(directory, 'views', `${name}.sql`),
      `CREATE OR REPLACE VIEW ${name} AS FROM store.${table};\n`,
    );
  }
  return directory;
}

export interface SmallStore extends SessionStore {
  /** What the next calls reject with; null ends it. */
  failWith(call: 'begin' | 'commit', error: Error | null): void;
  /** Calls that were rejected. */
  readonly failures: number;
}

/** A DuckDB file (or ':memory:') behind the store's interface. */
export async function smallStore(file: string): Promise<SmallStore> {
  const instance = await DuckDBInstance.create(file, { threads: '2' });
  const connection = await instance.connect();
  const faults: { begin: Error | null; commit: Error | null } = { begin: null, commit: null };
  let failures = 0;
  const fail = (error: Error | null) => {
    if (error === null) return;
    failures += 1;
    throw error;
  };
  const run = async (sql: string) => {
    await connection.run(sql);
  };
  return {
    run,
    async rows(sql) {
      const reader = await connection.runAndReadAll(sql);
      return reader.getRowObjects() as Record<string, unknown>[];
    },
    async begin() {
      fail(faults.begin);
      await run('BEGIN TRANSACTION');
    },
    async commit() {
      fail(faults.commit);
      await run('COMMIT');
    },
    rollback: () => run('ROLLBACK'),
    connect: () => instance.connect(),
    async connectWriting() {
      const own = await instance.connect();
      return {
        ...databaseOn(own),
        openWriter: () => Promise.reject(new Error('Small projections write with SQL')),
        close: () => own.closeSync(),
      };
    },
    walBytes: () => 0,
    diskFreeBytes: () => Number.POSITIVE_INFINITY,
    openWriter() {
      throw new Error('Small projections write with SQL');
    },
    tableBytes: () => 1,
    writer: 'safe',
    recreated: null,
    cutBytes: 0,
    close() {
      connection.closeSync();
      instance.closeSync();
      return Promise.resolve();
    },
    get failures() {
      return failures;
    },
    failWith(call, error) {
      faults[call] = error;
    },
  };
}

/** One entry a line; offsets, streams and segments are numbers. */
export function parseSmallEntries(text: string): SmallEntry[] {
  const lines = text.split('\n').filter((line) => line !== '');
  return lines.map((line) => {
    const { stream, segment, offset, ...rest } = JSON.parse(line) as Record<string, number>;
    return {
      ...rest,
      ...(stream === undefined ? {} : { stream: BigInt(stream) }),
      ...(segment === undefined ? {} : { segment: BigInt(segment) }),
      ...(offset === undefined ? {} : { offset: BigInt(offset) }),
    } as SmallEntry;
  });
}
