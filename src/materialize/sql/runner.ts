/** Runs SQL of users against the store and streams the encoded answer. Lives in the engine worker. */
import type { DuckDBConnection } from '@duckdb/node-api';
import { errorMessage } from '../../base/index.ts';
import { duckdb } from '../duckdb.ts';
import type { SqlRequest } from '../types.ts';
import { createColumn } from './columns.ts';
import { type AnswerColumn, type AnswerEncoder, createEncoder } from './encoder.ts';
import { prepareReadOnly } from './read-only-statement.ts';
import { sqlError, type StopReason } from './sql-errors.ts';

export interface SqlRunnerOptions {
  /** A new connection of the store. The runner keeps it for later queries; one that misbehaves is closed. */
  readonly connect: () => Promise<DuckDBConnection>;
}

interface SqlRun {
  /** Takes the next part of the answer; the query waits until it resolves. The part is its own memory and may be transferred. */
  readonly emit: (part: Uint8Array) => Promise<void>;
  /** Cancels the query: it rejects with TREASURY_QUERY_CANCELLED. */
  readonly signal: AbortSignal;
}

export interface SqlRunner {
  /** Resolves after the last part. Rejects with TreasuryError; parts emitted before then are the beginning of an answer. */
  run(request: SqlRequest, run: SqlRun): Promise<void>;
  /** Queries running now. */
  readonly running: number;
}

/** A runner over the store's connections. A query has its connection to itself and hands it on when it left no transaction behind. */
export function createSqlRunner({ connect }: SqlRunnerOptions): SqlRunner {
  let running = 0;
  const idle: DuckDBConnection[] = [];
  const lend = async () => idle.pop() ?? (await connect());
  const giveBack = (connection: DuckDBConnection, isClean: boolean) => {
    if (isClean) idle.push(connection);
    else connection.closeSync();
  };
  return {
    get running() {
      return running;
    },
    async run(request, { emit, signal }) {
      running++;
      try {
        await runOnce({ lend, giveBack }, request, emit, signal);
      } finally {
        running--;
      }
    },
  };
}

/** An interrupt is lost when it comes between two statements, so it is repeated until the query ends. */
const INTERRUPT_INTERVAL_MS = 20;

interface Connections {
  readonly lend: () => Promise<DuckDBConnection>;
  readonly giveBack: (connection: DuckDBConnection, isClean: boolean) => void;
}

async function runOnce(
  { lend, giveBack }: Connections,
  request: SqlRequest,
  emit: SqlRun['emit'],
  signal: AbortSignal,
): Promise<void> {
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
    connection = await lend();
    checkStopped();
    await answer(connection, request, emit, checkStopped);
  } catch (error) {
    throw sqlError(error, stopped, request.timeoutMs);
  } finally {
    clearTimeout(timer);
    clearInterval(repeat);
    signal.removeEventListener('abort', cancel);
    if (connection !== null) giveBack(connection, await endTransaction(connection));
  }
}

/** Whether the connection can be used again. A failed or cancelled query may have ended its transaction already. */
async function endTransaction(connection: DuckDBConnection): Promise<boolean> {
  try {
    await connection.run('ROLLBACK');
    return true;
  } catch (error) {
    return errorMessage(error).includes('no transaction is active');
  }
}

async function answer(
  connection: DuckDBConnection,
  request: SqlRequest,
  emit: SqlRun['emit'],
  checkStopped: () => void,
): Promise<void> {
  await connection.run('BEGIN TRANSACTION READ ONLY');
  const statement = await prepareReadOnly(connection, request);
  try {
    const result = await statement.stream();
    const types = result.columnTypes();
    const columns = types.map((type, index) => ({ name: result.columnName(index), type, data: createColumn(type) }));
    const encoder = createEncoder(request, columns);
    await encodeAll(result, { columns, encoder }, request, { emit, checkStopped });
  } finally {
    statement.destroySync();
  }
}

/** Rows taken before a batch's size is looked at: a part of a vector, so that wide rows make small batches. */
const SLICE_ROWS = 256;

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
): Promise<void> {
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
    for (const [index, { data }] of columns.entries()) {
      data.load(duckdb.data_chunk_get_vector(chunk.chunk, index), chunk.rowCount, null);
    }
    for (let start = 0; start < take; start += SLICE_ROWS) {
      const count = Math.min(SLICE_ROWS, take - start);
      if (batchRows + count > encoder.batchRowsMax) await flush();
      for (const { data } of columns) data.take(start, count);
      batchRows += count;
      if (batchRows >= encoder.batchRowsMax || dataBytes(columns) >= encoder.batchBytesMax) await flush();
    }
    rowCount += take;
  }
  if (batchRows > 0) await flush();
  if (head !== null) await send(head);
  await send(encoder.tail({ rowCount, truncated }));
}

function dataBytes(columns: readonly AnswerColumn[]): number {
  return columns.reduce((sum, { data }) => sum + data.bytes, 0);
}
