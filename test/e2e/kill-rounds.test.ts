/**
 * Goal: an acknowledged batch survives kill -9 of the whole server, and is in the tables exactly once.
 * Method: 25 rounds on one data directory. In each, clients stream batches of all signals, every batch under an id of its own, and
 * the server is killed after a seeded delay. In the end the log is read for the ids and the tables for their rows.
 * Invariant: every acknowledged id is one log entry; every log entry's rows are in the tables, each (entry_offset, row) once.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import type { DuckDBConnection } from '@duckdb/node-api';
import { type Signal, SIGNAL_CODES, SIGNALS } from '../../src/base/index.ts';
import { ENTRY_KINDS, readEntries } from '../../src/log/index.ts';
import { createStreamInspector } from '../../src/otap/index.ts';
import { readArrowStreams } from '../helpers/captures.ts';
import {
  assertLogged,
  assertRowsOnce,
  KILL_ROUNDS,
  KILL_SEED,
  runKillRounds,
  type SentUnit,
} from '../helpers/kill-rounds.ts';
import { connectOtap } from '../helpers/otap-client.ts';
import type { ServerProcess } from '../helpers/server-process.ts';

const IN_FLIGHT = 8;
const ROOT_TABLES: Readonly<Record<Signal, string>> = { logs: 'logs', traces: 'spans', metrics: 'univariate_metrics' };

interface Batch extends SentUnit {
  readonly signal: Signal;
}

test(`kill -9 in ${KILL_ROUNDS} rounds loses no acknowledged batch and repeats no row (seed ${KILL_SEED})`, async (t) => {
  const batches = new Map<bigint, Batch>();
  const { data, status, connection } = await runKillRounds(t, (server) =>
    Promise.all(SIGNALS.map((signal) => streamUntilCut(server, signal, batches))),
  );
  const offsets = await entriesByBatchId(data);
  const acked = [...batches].filter(([, batch]) => batch.acked);
  t.diagnostic(
    `${batches.size} batches sent, ${acked.length} acknowledged, ${offsets.size} in the log, ${status.durableOffset} entries`,
  );
  assertLogged(batches, offsets);
  await assertRowsOnce(connection);
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
});

/** Sends the messages of a capture again and again, each under a new batch id, on new streams, until the server is gone. */
async function streamUntilCut(server: ServerProcess, signal: Signal, batches: Map<bigint, Batch>): Promise<void> {
  const client = await connectOtap(server.grpc).catch(() => undefined);
  if (client === undefined) return;
  const { messages } = readArrowStreams('rich-1').find(
    (stream) => stream.arrowSignal === signal && stream.messages.length > 0,
  )!;
  for (let isCut = false; !isCut; ) {
    const stream = client.openStream(signal, { encoding: 'zstdarrow1' });
    const inspector = createStreamInspector(signal);
    for (const [index, message] of messages.entries()) {
      await stream.reach(index + 1 - IN_FLIGHT);
      const id = BigInt(batches.size);
      batches.set(id, { signal, rows: inspector.inspect(message).rootRows, acked: false });
      await stream.send(withBatchId(message, id));
    }
    stream.halfClose();
    isCut = (await stream.ended).code !== 0;
    for (const status of stream.statuses) if (status.code === 0) batches.get(status.batchId)!.acked = true;
  }
  client.destroy();
}

/** The message with another batch id: protobuf takes the last occurrence of a field, so one is put behind. */
function withBatchId(message: Uint8Array, id: bigint): Uint8Array {
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
async function entriesByBatchId(data: string): Promise<Map<bigint, bigint[]>> {
  const offsets = new Map<bigint, bigint[]>();
  const codes = new Set<number>(Object.values(SIGNAL_CODES));
  for (const entry of readEntries(join(data, 'log'), { from: 0n })) {
    if (entry.kind !== ENTRY_KINDS.BAR) continue;
    assert.ok(codes.has(entry.signal));
    offsets.set(entry.batchId, [...(offsets.get(entry.batchId) ?? []), entry.offset]);
  }
  return offsets;
}

async function rowsByEntry(connection: DuckDBConnection, table: string): Promise<Map<bigint, number>> {
  const sql = `SELECT entry_offset, count(*)::INTEGER FROM normalized.${table} GROUP BY 1`;
  return new Map((await connection.runAndReadAll(sql)).getRows() as [bigint, number][]);
}
