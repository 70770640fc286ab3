/** Runs SQL of users against the store and streams the encoded answer. Lives in the engine worker. */
import type { DuckDBConnection } from '@duckdb/node-api';
import duckdb from '@duckdb/node-bindings';
import type { SqlRequest } from '../types.ts';
import { createColumn } from './columns.ts';
import { type AnswerColumn, type AnswerEncoder, createEncoder, type SqlSummary } from './encoder.ts';
import { prepareReadOnly } from './read-only-statement.ts';
import { sqlError, type StopReason } from './sql-errors.ts';

export interface SqlRunnerOptions {
  /** A new connection of the store. The runner closes it. */
  connect(): Promise<DuckDBConnection>;
}

export interface SqlRun {
  /** Takes the next part of the answer; the query waits until it resolves. The part is its own memory and may be transferred. */
  emit(part: Uint8Array): Promise<void>;
  /** Cancels the query: it rejects with TREASURY_QUERY_CANCELLED. */
  readonly signal: AbortSignal;
}

export interface SqlRunner {
  /** Resolves after the last part. Rejects with TreasuryError; parts emitted before then are the beginning of an answer. */
  run(request: SqlRequest, run: SqlRun): Promise<SqlSummary>;
  /** Queries running now. */
  readonly running: number;
}

/** A runner over the store's connections. Each query has a connection of its own, so that no setting outlives it. */
export function createSqlRunner({ connect }: SqlRunnerOptions): SqlRunner {
  let running = 0;
  return {
    get running() {
      return running;
    },
    async run(request, { emit, signal }) {
      running++;
      try {
        return await runOnce(connect, request, emit, signal);
      } finally {
        running--;
      }
    },
  };
}

/** An interrupt is lost when it comes between two statements, so it is repeated until the query ends. */
const INTERRUPT_INTERVAL_MS = 20;

async function runOnce(
  connect: SqlRunnerOptions['connect'],
  request: SqlRequest,
  emit: SqlRun['emit'],
  signal: AbortSignal,
): Promise<SqlSummary> {
  let stopped: StopReason = null;
  let connection: DuckDBConnection | null = null;
  let repeat: NodeJS.Timeout | undefined;
  const stop = (reason: StopReason) => {
    if (stopped !== null) return;
    stopped = reason;
    connection?.interrupt();
    repeat = setInterval(() => connection?.interrupt(), INTERRUPT_INTERVAL_MS);
  };
  const cancel = () => stop('cancelled');
  signal.addEventListener('abort', cancel, { once: true });
  const timer = setTimeout(() => stop('timeout'), request.timeoutMs);
  const checkStopped = () => {
    if (stopped !== null) throw sqlError(null, stopped, request.timeoutMs);
  };
  try {
    if (signal.aborted) stop('cancelled');
    checkStopped();
    connection = await connect();
    checkStopped();
    return await answer(connection, request, emit, checkStopped);
  } catch (error) {
    throw sqlError(error, stopped, request.timeoutMs);
  } finally {
    clearTimeout(timer);
    clearInterval(repeat);
    signal.removeEventListener('abort', cancel);
    connection?.closeSync();
  }
}

async function answer(
  connection: DuckDBConnection,
  request: SqlRequest,
  emit: SqlRun['emit'],
  checkStopped: () => void,
): Promise<SqlSummary> {
  await connection.run('BEGIN TRANSACTION READ ONLY');
  try {
    const statement = await prepareReadOnly(connection, request);
    try {
      const result = await statement.stream();
      const types = result.columnTypes();
      const columns = types.map((type, index) => ({
        name: result.columnName(index),
        type,
        data: createColumn(type),
      }));
      return await encodeAll(result, { columns, encoder: createEncoder(request.format, columns) }, request, {
        emit,
        checkStopped,
      });
    } finally {
      statement.destroySync();
    }
  } finally {
    // A cancelled or failed query has ended its transaction already; closing the connection ends it in any case.
    await connection.run('ROLLBACK').catch(() => undefined);
  }
}

interface Answer {
  readonly columns: readonly AnswerColumn[];
  readonly encoder: AnswerEncoder;
}

type StreamedResult = Awaited<ReturnType<Awaited<ReturnType<typeof prepareReadOnly>>['stream']>>;

/** The head goes out with the first batch: a query that fails in its first rows fails before anything was sent. */
async function encodeAll(
  result: StreamedResult,
  { columns, encoder }: Answer,
  request: SqlRequest,
  { emit, checkStopped }: { emit: SqlRun['emit']; checkStopped: () => void },
): Promise<SqlSummary> {
  let rowCount = 0;
  let batchRows = 0;
  let truncated = false;
  let head: Uint8Array | null = encoder.head();
  const send = async (part: Uint8Array) => {
    if (part.length === 0) return;
    checkStopped();
    await emit(part);
  };
  const flush = async () => {
    const part = encoder.batch(batchRows);
    for (const { data } of columns) data.reset();
    batchRows = 0;
    if (head !== null) {
      const first = head;
      head = null;
      await send(first);
    }
    await send(part);
  };
  while (!truncated) {
    checkStopped();
    const chunk = await result.fetchChunk();
    if (chunk === null || chunk.rowCount === 0) break;
    const take = Math.min(chunk.rowCount, request.rowsMax - rowCount);
    truncated = take < chunk.rowCount;
    if (batchRows + take > encoder.batchRowsMax) await flush();
    columns.forEach(({ data }, index) => {
      data.load(duckdb.data_chunk_get_vector(chunk.chunk, index), chunk.rowCount, null);
      data.take(0, take);
    });
    batchRows += take;
    rowCount += take;
    if (batchRows >= encoder.batchRowsMax || dataBytes(columns) >= encoder.batchBytesMax) await flush();
  }
  if (batchRows > 0) await flush();
  if (head !== null) await send(head);
  const summary = { rowCount, truncated };
  await send(encoder.tail(summary));
  return summary;
}

function dataBytes(columns: readonly AnswerColumn[]): number {
  return columns.reduce((sum, { data }) => sum + data.bytes, 0);
}
