/** OTAP streams that never end by themselves, each batch under an id of its own, and what became of them in log and tables. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { DuckDBConnection } from '@duckdb/node-api';
import { type Signal, SIGNAL_CODES, SIGNALS } from '../../src/base/index.ts';
import { ENTRY_KINDS, readEntries } from '../../src/log/index.ts';
import { createStreamInspector } from '../../src/otap/index.ts';
import { readArrowStreams } from './captures.ts';
import type { SentUnit } from './kill-rounds.ts';
import { connectOtap, type OtapStream } from './otap-client.ts';
import type { ServerProcess } from './server-process.ts';

const IN_FLIGHT = 8;
const ROOT_TABLES: Readonly<Record<Signal, string>> = { logs: 'logs', traces: 'spans', metrics: 'univariate_metrics' };

export interface SentBatch extends SentUnit {
  readonly signal: Signal;
}

/** What was sent by batch id, and the streams it was sent on: `noteAcked` moves what they have heard to the batches. */
export interface OtapLoad {
  readonly batches: Map<bigint, SentBatch>;
  readonly streams: Set<OtapStream>;
}

export function createOtapLoad(): OtapLoad {
  return { batches: new Map(), streams: new Set() };
}

export function noteAcked({ batches, streams }: OtapLoad): void {
  for (const { statuses } of streams) {
    for (const status of statuses) if (status.code === 0) batches.get(status.batchId)!.acked = true;
  }
}

/** Sends the messages of a capture again and again, each under a new batch id, on new streams, until the server is gone. */
export async function streamUntilCut(server: ServerProcess, signal: Signal, load: OtapLoad): Promise<void> {
  const client = await connectOtap(server.grpc).catch(() => undefined);
  if (client === undefined) return;
  const { batches, streams } = load;
  const { messages } = readArrowStreams('rich-1').find(
    (stream) => stream.arrowSignal === signal && stream.messages.length > 0,
  )!;
  for (let isCut = false; !isCut; ) {
    const stream = client.openStream(signal, { encoding: 'zstdarrow1' });
    streams.add(stream);
    const inspector = createStreamInspector(signal);
    for (const [index, message] of messages.entries()) {
      await stream.reach(index + 1 - IN_FLIGHT);
      const id = BigInt(batches.size);
      batches.set(id, { signal, rows: inspector.inspect(message).rootRows, acked: false });
      await stream.send(withBatchId(message, id));
    }
    stream.halfClose();
    isCut = (await stream.ended).code !== 0;
    noteAcked({ batches, streams: new Set([stream]) });
    streams.delete(stream);
  }
  client.destroy();
}

/** The message with another batch id: protobuf takes the last occurrence of a field, so one is put behind. */
export function withBatchId(message: Uint8Array, id: bigint): Uint8Array {
  const field = [0x08];
  for (let rest = id; ; rest >>= 7n) {
    if (rest < 0x80n) {
      field.push(Number(rest));
      return Buffer.concat([message, Buffer.from(field)]);
    }
    field.push(Number(rest & 0x7fn) | 0x80);
  }
}

/** Offsets of the BAR entries of each batch id, read from the segments of a stopped server. */
export function entriesByBatchId(data: string): Map<bigint, bigint[]> {
  const offsets = new Map<bigint, bigint[]>();
  const codes = new Set<number>(Object.values(SIGNAL_CODES));
  for (const entry of readEntries(join(data, 'log'), { from: 0n })) {
    if (entry.kind !== ENTRY_KINDS.BAR) continue;
    assert.ok(codes.has(entry.signal));
    offsets.set(entry.batchId, [...(offsets.get(entry.batchId) ?? []), entry.offset]);
  }
  return offsets;
}

/** Asserts that every entry has as many rows in its signal's table as its batch had. */
export async function assertRowsOfBatches(
  connection: DuckDBConnection,
  batches: ReadonlyMap<bigint, SentBatch>,
  offsets: ReadonlyMap<bigint, readonly bigint[]>,
): Promise<void> {
  for (const signal of SIGNALS) {
    const rows = await rowsByEntry(connection, ROOT_TABLES[signal]);
    const wrong = [...offsets]
      .filter(([id]) => batches.get(id)?.signal === signal)
      .flatMap(([id, found]) =>
        found.map((offset) => ({ id, offset, rows: rows.get(offset) ?? 0, sent: batches.get(id)!.rows })),
      )
      .filter((entry) => entry.rows !== entry.sent);
    assert.deepEqual(wrong, [], `${signal}: entries with too few or too many rows`);
  }
}

async function rowsByEntry(connection: DuckDBConnection, table: string): Promise<Map<bigint, number>> {
  const sql = `SELECT entry_offset, count(*)::INTEGER FROM normalized.${table} GROUP BY 1`;
  return new Map((await connection.runAndReadAll(sql)).getRows() as [bigint, number][]);
}
