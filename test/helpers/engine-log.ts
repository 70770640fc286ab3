/** A real log and a real engine on a directory of their own: what gRPC receiving does to the log, without gRPC. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Logger, type Signal, SIGNAL_CODES, silentLogger } from '../../src/base/index.ts';
import {
  type DurablePosition,
  ENTRY_FLAGS,
  type Log,
  type LogLimits,
  type LogStatus,
  openLog,
} from '../../src/log/index.ts';
import { startEngine } from '../../src/materialize/engine.ts';
import type { Engine, EngineOptions, EngineStatus, SqlRequest } from '../../src/materialize/types.ts';
import { createStreamInspector, type InspectedBatch } from '../../src/otap/index.ts';
import { readArrowStreams } from './captures.ts';
import { formsOf } from './compared-forms.ts';

/** Opens the log below `directory`. */
export function openTestLog(directory: string, limits: Partial<LogLimits> = {}): Promise<Log> {
  return openLog({ directory: join(directory, 'log'), limits });
}

/** Starts the real engine on the log of `directory`, whose `status` tells UUID and durable end. */
export async function startTestEngine(
  directory: string,
  status: LogStatus,
  logger: Logger = silentLogger,
  options: Partial<EngineOptions> = {},
): Promise<Engine> {
  await mkdir(join(directory, 'tables'), { recursive: true });
  return startEngine({ ...engineOptions(directory, status), ...options }, logger);
}

/** What an engine on the log of `directory` is started with. */
export function engineOptions(directory: string, status: LogStatus): EngineOptions {
  return {
    logDirectory: join(directory, 'log'),
    tablesDirectory: join(directory, 'tables'),
    logUuid: status.uuid,
    memoryLimitMb: 256,
    threads: 2,
    durable: durableOf(status),
  };
}

export function durableOf({ durableOffset, segment, segmentBytes }: LogStatus): DurablePosition {
  return { durableOffset, segment, segmentBytes };
}

/** Appends every OTAP batch of a capture; streams run side by side, batch by batch. Returns the number of batches. */
export async function appendCapture(log: Log, name: string): Promise<number> {
  const streams = readArrowStreams(name).map(({ arrowSignal, messages }) => openTestStream(log, arrowSignal, messages));
  let count = 0;
  for (let at = 0; ; at++) {
    const batches = await Promise.all(streams.map((stream) => stream(at)));
    const appended = batches.filter(Boolean).length;
    if (appended === 0) return count;
    count += appended;
  }
}

function openTestStream(log: Log, signal: Signal, messages: readonly Uint8Array[]): (at: number) => Promise<boolean> {
  const inspector = createStreamInspector(signal);
  const stream = log.openStream(SIGNAL_CODES[signal]);
  return async (at) => {
    const message = messages[at];
    if (message !== undefined) {
      const batch = inspector.inspect(message);
      const { batchId, record, headers, stateMessages } = batch;
      await stream.append({ batchId, record, headers, flags: flagsOf(batch), stateUpdates: stateMessages });
    }
    if (at === messages.length - 1) stream.close();
    return message !== undefined;
  };
}

function flagsOf({ stateMessages }: InspectedBatch): number {
  return stateMessages.reduce(
    (flags, { kind }) => flags | (kind === 'schema' ? ENTRY_FLAGS.HAS_SCHEMA : ENTRY_FLAGS.HAS_DICTIONARY),
    0,
  );
}

/** Polls the status until `reached`. */
export async function engineUntil(engine: Engine, reached: (status: EngineStatus) => boolean): Promise<EngineStatus> {
  for (;;) {
    const status = await engine.status();
    if (reached(status)) return status;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Rows of a query, as the JSON answer has them. */
export async function engineRows(engine: Engine, query: string): Promise<unknown[][]> {
  const request: SqlRequest = { query, format: 'json', rowsMax: 1_000_000, timeoutMs: 60_000 };
  const chunks: Uint8Array[] = [];
  for await (const chunk of (await engine.sql(request, new AbortController().signal)).chunks) chunks.push(chunk);
  return (JSON.parse(Buffer.concat(chunks).toString()) as { rows: unknown[][] }).rows;
}

/**
 * One hash and count for every table and view that rows can be read from, by name. Of columns that may say the same in several ways what
 * they say, as comparisons of versions have it: places begin again with each process.
 */
export async function tableHashes(engine: Engine): Promise<Record<string, unknown[]>> {
  const tables = await engineRows(
    engine,
    `SELECT table_schema, table_name FROM information_schema.tables
     WHERE table_schema IN ('store', 'main', 'normalized') AND table_name NOT LIKE '%staged%' ORDER BY ALL`,
  );
  const hashes: Record<string, unknown[]> = {};
  for (const [schema, name] of tables) {
    const table = `"${String(schema)}"."${String(name)}"`;
    const forms = schema === 'store' ? formsOf(String(name)) : undefined;
    const rows =
      forms === undefined
        ? table
        : `(SELECT * EXCLUDE (${forms.columns.join(', ')}), ${forms.values.join(', ')} FROM ${table})`;
    const found = await engineRows(engine, `SELECT count(*), bit_xor(hash(t)), sum(hash(t)) FROM ${rows} AS t`);
    hashes[table] = found[0]!;
  }
  return hashes;
}
