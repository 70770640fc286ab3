/**
 * Goal: an answer of `GET /treasury/v1/tables/{view}` whose tables are lost on the way never looks whole, and one whose engine only
 * starts again goes on without gap or repeat.
 * Method: a client that stops reading in the middle of an answer of several ranges, so that the server waits for it; the engine's
 * thread is killed then, its file of tables taken away or left, and another engine started, as the server does.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { get, type IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { Worker } from 'node:worker_threads';
import { RecordBatchReader } from 'apache-arrow';
import { createPulls } from '../../../src/api/pull/pulls.ts';
import { refuseOtherTables } from '../../../src/api/pull/view-state.ts';
import { createLogger, LIMITS, silentLogger } from '../../../src/base/index.ts';
import { superviseEngine } from '../../../src/materialize/index.ts';
import type { Log } from '../../../src/log/index.ts';
import { engineUntil, openTestLog, startTestEngine } from '../../helpers/engine-log.ts';
import { startHttpHarness } from '../http/harness.ts';

const ROWS_AN_ENTRY = 1_000;
/** Two ranges, the second a small one. */
const ENTRIES = Math.floor(LIMITS.pullRangeRowsMax / ROWS_AN_ENTRY) + 2;
/** The first range is more than the sockets of both sides hold: while it waits, no query of the pull is under way. */
const BODY_BYTES = Math.ceil((12 * 1024 * 1024) / LIMITS.pullRangeRowsMax);

interface MortalServer {
  readonly base: string;
  /** What the server told. */
  readonly told: string[];
  /** Ends the engine's thread, lets `between` work on its folder of tables, and waits for the next engine to run. */
  killEngine(between: (tables: string) => void): Promise<void>;
  caughtUp(): Promise<unknown>;
}

async function startServer(t: TestContext): Promise<MortalServer> {
  const directory = mkdtempSync(join(tmpdir(), 'treasury-lost-tables-'));
  const log = await openTestLog(directory);
  const workers: Worker[] = [];
  const listen = (worker: Worker) => void workers.push(worker);
  process.on('worker', listen);
  let between: (tables: string) => void = () => {};
  const engine = await superviseEngine({
    start: () => {
      between(join(directory, 'tables'));
      return startTestEngine(directory, log.status());
    },
    logger: silentLogger,
    limits: { engineRestartMinMs: 1 },
  });
  process.off('worker', listen);
  const [first] = workers;
  log.onDurable((position) => engine.advance(position));
  for (let entry = 0; entry < ENTRIES; entry++) await append(log);
  const { durableOffset } = log.status();
  const caughtUp = () => engineUntil(engine, ({ materializedOffset }) => materializedOffset >= durableOffset);
  await caughtUp();
  const told: string[] = [];
  const pulls = createPulls({ log, logDirectory: join(directory, 'log'), logger: silentLogger });
  const { base, listener } = await startHttpHarness({
    log,
    pulls,
    engine,
    logger: createLogger({ level: 'warn', format: 'json', write: (line) => void told.push(line) }),
    sqlLimits: { rowsMax: 10, timeoutMs: 60_000 },
  });
  t.after(async () => {
    await Promise.all([pulls.stop(), listener.stop()]);
    await engine.stop();
    await log.close();
    rmSync(directory, { recursive: true, force: true });
  });
  return {
    base,
    told,
    async killEngine(work) {
      between = work;
      const { restarts } = engine.health();
      await first!.terminate();
      while (engine.health().restarts === restarts || !engine.health().running) await new Promise(setImmediate);
    },
    caughtUp,
  };
}

async function append(log: Log): Promise<void> {
  const logRecords = Array.from({ length: ROWS_AN_ENTRY }, (_, row) => ({
    timeUnixNano: String(row + 1),
    body: { stringValue: `${row} `.padEnd(BODY_BYTES, 'x') },
  }));
  const record = [Buffer.from(JSON.stringify({ resourceLogs: [{ scopeLogs: [{ logRecords }] }] }))];
  const headers = new Map([['content-type', 'application/json']]);
  await log.appendOtlp(1, { batchId: 0n, record, headers });
}

/** Begins an answer that is not read: the server has no more than its first range, and waits with that. */
async function begin(url: string): Promise<IncomingMessage> {
  const [response] = (await once(get(url), 'response')) as [IncomingMessage];
  assert.equal(response.statusCode, 200);
  return response;
}

/** What came until the end, and whether it is whole. */
async function finish(response: IncomingMessage): Promise<{ bytes: Buffer; isWhole: boolean }> {
  const chunks: Buffer[] = [];
  response.on('data', (chunk: Buffer) => chunks.push(chunk));
  response.on('error', () => {});
  await new Promise((resolve) => response.once('close', resolve));
  return { bytes: Buffer.concat(chunks), isWhole: response.complete };
}

function rowsByEntry(bytes: Uint8Array): Map<bigint, number> {
  const counts = new Map<bigint, number>();
  try {
    for (const batch of RecordBatchReader.from(bytes)) {
      for (const offset of batch.getChild('entry_offset')!.toArray() as BigUint64Array) {
        counts.set(offset, (counts.get(offset) ?? 0) + 1);
      }
    }
  } catch {
    // Cut in the middle of a batch.
  }
  return counts;
}

test('an answer whose tables are lost and built anew on the way is cut, and a client goes on behind what it got', async (t) => {
  const server = await startServer(t);
  const url = `${server.base}/treasury/v1/tables/logs`;
  const response = await begin(url);
  await server.killEngine((tables) => rmSync(tables, { recursive: true }));
  const { bytes, isWhole } = await finish(response);
  assert.equal(isWhole, false);
  assert.match(server.told.join(''), /Pull cut.*TREASURY_PULL_UNAVAILABLE.*begun anew/s);
  const got = rowsByEntry(bytes);
  assert.ok(got.size < ENTRIES);
  const last = [...got.keys()].at(-1) ?? -1n;
  await server.caughtUp();
  const rest = await finish(await begin(`${url}?from=${last + 1n}`));
  assert.ok(rest.isWhole);
  const entries = [...got, ...rowsByEntry(rest.bytes)];
  assert.deepEqual(
    entries,
    Array.from({ length: ENTRIES }, (_, entry) => [BigInt(entry), ROWS_AN_ENTRY]),
  );
});

test('an answer whose engine starts again on its tables goes on without gap or repeat', async (t) => {
  const server = await startServer(t);
  const response = await begin(`${server.base}/treasury/v1/tables/logs`);
  await server.killEngine(() => {});
  const { bytes, isWhole } = await finish(response);
  assert.ok(isWhole, server.told.join(''));
  assert.deepEqual(
    [...rowsByEntry(bytes)],
    Array.from({ length: ENTRIES }, (_, entry) => [BigInt(entry), ROWS_AN_ENTRY]),
  );
});

test('tables that were begun anew are told from those before, also when they have caught up', () => {
  const view = { name: 'logs', source: 'main.logs', columns: [], order: [] };
  const begun = { file: 'one', nextOffset: 5n };
  refuseOtherTables(view, begun, { file: 'one', nextOffset: 9n }, 9n);
  for (const now of [
    { file: 'other', nextOffset: 9n },
    { file: 'one', nextOffset: 8n },
  ]) {
    assert.throws(() => refuseOtherTables(view, begun, now, 9n), {
      code: 'TREASURY_PULL_UNAVAILABLE',
      retryable: true,
    });
  }
});
