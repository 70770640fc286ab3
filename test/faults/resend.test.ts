/**
 * Goal: a client that lost its answer may send the same batch again as often as it likes.
 * Method: clients of OTAP, OTLP/gRPC and OTLP/HTTP send batches, each with an id of its own, through proxies of the test. At seeded
 * points a proxy keeps the answers back and then cuts the connections: before, while or after the server has answered. The client
 * connects again and sends what has no answer once more, until each batch is acknowledged: 1,000 resends over all.
 * Invariant: at least once on the wire and counted: every batch is in the log at least once and at most as often as it was sent, and
 * each time is an entry of its own; every entry has all its rows in the tables, each (entry_offset, row) once. Entries of the log,
 * entries of the status and entries in the tables are as many.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Signal, SIGNALS } from '../../src/base/index.ts';
import { ENTRY_KINDS, readEntries } from '../../src/log/index.ts';
import { createStreamInspector } from '../../src/otap/index.ts';
import { readArrowStreams, readCapture } from '../helpers/captures.ts';
import { type CuttingProxy, startCuttingProxy } from '../helpers/cutting-proxy.ts';
import { expectedRows } from '../helpers/expected-rows.ts';
import { assertRowsOnce } from '../helpers/kill-rounds.ts';
import { connectOtap } from '../helpers/otap-client.ts';
import { withBatchId } from '../helpers/otap-load.ts';
import { createOtlpHttpClient, exportGrpc } from '../helpers/otlp-client.ts';
import { lengthField } from '../helpers/otlp-wire-messages.ts';
import { type Random, seededRandom } from '../helpers/random.ts';
import { scratchDirectory, startServerProcess, untilMaterialized } from '../helpers/server-process.ts';
import { openStoppedTables } from '../helpers/stopped-tables.ts';

const SEED = Number(process.env['TREASURY_TEST_SEED'] ?? 20_261_122);
const RESENDS = Number(process.env['TREASURY_TEST_RESENDS'] ?? 1_000);
/** Batches of a client that wait for an answer. */
const IN_FLIGHT_MAX = 4;
/** How long answers are kept back before the cut: about what the server takes for one. */
const HOLD_MAX_MS = 8;
const MARK = /resent-(\d{8})/;

/** What a client has to send. */
interface Batch {
  readonly id: number;
  readonly signal: Signal;
  readonly body: Uint8Array;
  /** In the rows that `from` selects. */
  readonly rows: number;
  readonly from: string;
  sent: number;
  acked: boolean;
}

type Template = Pick<Batch, 'signal' | 'body' | 'rows' | 'from'>;

/** Sends batches on one connection of its own; resolves when each is answered or the connection is gone. */
type Send = (address: string, batches: readonly Batch[]) => Promise<void>;

interface Transport {
  readonly templates: readonly Template[];
  readonly port: 'grpc' | 'otlpHttp';
  mark(body: Uint8Array, id: number): Uint8Array;
  readonly send: Send;
}

/** Rows as OTAP sends them, and as OTLP does. */
const ROOT_ROWS: Readonly<Record<Signal, string>> = {
  logs: 'SELECT entry_offset FROM normalized.logs',
  traces: 'SELECT entry_offset FROM normalized.spans',
  metrics: 'SELECT entry_offset FROM normalized.univariate_metrics',
};
const POINT_ROWS: Readonly<Record<Signal, string>> = {
  logs: 'SELECT entry_offset FROM logs',
  traces: 'SELECT entry_offset FROM spans',
  metrics: ['samples', 'histograms', 'exp_histograms', 'summaries']
    .map((view) => `SELECT entry_offset FROM ${view}`)
    .join(' UNION ALL '),
};

const otlpTemplates = SIGNALS.map(otlpTemplate);
const TRANSPORTS: Readonly<Record<string, Transport>> = {
  OTAP: {
    templates: SIGNALS.map(arrowTemplate),
    port: 'grpc',
    mark: (body, id) => withBatchId(body, BigInt(id)),
    send: sendArrow,
  },
  'OTLP/gRPC': { templates: otlpTemplates, port: 'grpc', mark: withMark, send: sendGrpc },
  'OTLP/HTTP': { templates: otlpTemplates, port: 'otlpHttp', mark: withMark, send: sendHttp },
};

test(`${RESENDS} resends lose nothing and give each entry its rows once (seed ${SEED})`, async (t) => {
  const data = scratchDirectory(t);
  const server = await startServerProcess(data);
  t.after(() => server.end('SIGKILL'));
  const batches: Batch[] = [];
  const each = Math.ceil(RESENDS / Object.keys(TRANSPORTS).length);
  const resends = await Promise.all(
    Object.values(TRANSPORTS).map(async (transport, at) => {
      const proxy = await startCuttingProxy(server[transport.port]);
      const count = await resendUntil(each, { transport, proxy, batches, random: seededRandom(SEED + at) });
      await proxy.close();
      return count;
    }),
  );
  const status = await untilMaterialized(server);
  assert.equal(await server.end('SIGTERM'), 0, server.stderr());
  assert.deepEqual(
    batches.filter(({ acked }) => !acked).map(({ id }) => id),
    [],
  );
  const offsets = entriesById(data);
  const wrong = batches.filter(({ id, sent }) => {
    const entries = offsets.get(id)?.length ?? 0;
    return entries < 1 || entries > sent;
  });
  const named = wrong.map(({ id, sent }) => ({ id, sent, entries: offsets.get(id) ?? [] }));
  assert.deepEqual(named, [], 'batches that are not in the log, or more often than they were sent');
  const entries = [...offsets.values()].flat();
  const doubles = entries.length - batches.length;
  t.diagnostic(
    `${batches.length} batches, ${resends.join(' + ')} resends, ${doubles} of them of entries that were there`,
  );
  assert.ok(doubles > RESENDS / 20, 'too few answers were lost behind the disk to mean something');
  assert.ok(doubles < RESENDS, 'too few batches were lost before the disk to mean something');
  await assertTables(t, { data, batches, offsets });
  assert.equal(status['lag'], 0);
});

interface Resender {
  readonly transport: Transport;
  readonly proxy: CuttingProxy;
  readonly batches: Batch[];
  readonly random: Random;
}

/** Sends new batches, and again those without an answer, until `count` were sent again and all are acknowledged. */
async function resendUntil(count: number, { transport, proxy, batches, random }: Resender): Promise<number> {
  let resent = 0;
  let open: Batch[] = [];
  while (resent < count || open.length > 0) {
    while (resent < count && open.length < IN_FLIGHT_MAX) open.push(newBatch(transport, batches, random));
    resent += open.filter(({ sent }) => sent > 0).length;
    for (const batch of open) batch.sent += 1;
    // Where nothing is cut there are no doubles that could stand in for a batch that is lost.
    const isCut = resent < count && random.below(3) > 0;
    const sending = transport.send(proxy.address, open);
    if (isCut) {
      // Some of the answers get through.
      await sleep(random.below(HOLD_MAX_MS));
      proxy.holdAnswers();
      await sleep(random.below(HOLD_MAX_MS));
      proxy.cut();
    }
    await sending;
    open = open.filter(({ acked }) => !acked);
  }
  return resent;
}

function newBatch({ templates, mark }: Transport, batches: Batch[], random: Random): Batch {
  const { body, ...template } = random.pick(templates);
  const id = batches.length;
  const batch: Batch = { ...template, id, body: mark(body, id), sent: 0, acked: false };
  batches.push(batch);
  return batch;
}

/** Each batch on a stream of its own: one that is sent again brings its schema along. */
async function sendArrow(address: string, batches: readonly Batch[]): Promise<void> {
  const client = await connectOtap(address).catch(() => undefined);
  if (client === undefined) return;
  await Promise.all(
    batches.map(async (batch) => {
      const stream = client.openStream(batch.signal);
      await stream.send(batch.body);
      stream.halfClose();
      await stream.ended;
      batch.acked ||= stream.statuses.some(({ batchId, code }) => batchId === BigInt(batch.id) && code === 0);
    }),
  );
  client.destroy();
}

async function sendGrpc(address: string, batches: readonly Batch[]): Promise<void> {
  const client = await connectOtap(address).catch(() => undefined);
  if (client === undefined) return;
  await Promise.all(
    batches.map(async (batch) => {
      const { code } = await exportGrpc(client, batch.signal, batch.body);
      batch.acked ||= code === 0;
    }),
  );
  client.destroy();
}

async function sendHttp(address: string, batches: readonly Batch[]): Promise<void> {
  const client = await createOtlpHttpClient(address);
  await Promise.all(
    batches.map(async (batch) => {
      const { status } = await client.export(batch.signal, batch.body);
      batch.acked ||= status === 200;
    }),
  );
  client.close();
}

function arrowTemplate(signal: Signal): Template {
  const body = readArrowStreams('rich-1').find(
    ({ arrowSignal, messages }) => arrowSignal === signal && messages.length > 0,
  )!.messages[0]!;
  return { signal, body, rows: createStreamInspector(signal).inspect(body).rootRows, from: ROOT_ROWS[signal] };
}

function otlpTemplate(signal: Signal): Template {
  const { body } = readCapture('rich-1', 'expect').find((record) => record.t === 'otlp' && record.signal === signal)!;
  const rows = expectedRows(signal, body).filter((row) => row['kind'] !== 'metric').length;
  return { signal, body, rows, from: POINT_ROWS[signal] };
}

/** The request with a field that no reader knows. */
function withMark(body: Uint8Array, id: number): Uint8Array {
  return Buffer.concat([body, lengthField(1000, Buffer.from(`resent-${String(id).padStart(8, '0')}`))]);
}

/** Offsets of the entries of each batch, read from the segments of a stopped server. */
function entriesById(data: string): Map<number, bigint[]> {
  const offsets = new Map<number, bigint[]>();
  for (const { kind, offset, batchId, record } of readEntries(join(data, 'log'), { from: 0n })) {
    if (kind !== ENTRY_KINDS.BAR && kind !== ENTRY_KINDS.OTLP) continue;
    const bytes = Buffer.from(record.buffer, record.byteOffset, record.byteLength);
    const id = kind === ENTRY_KINDS.BAR ? Number(batchId) : Number(MARK.exec(bytes.toString('latin1'))![1]);
    offsets.set(id, [...(offsets.get(id) ?? []), offset]);
  }
  return offsets;
}

interface Outcome {
  readonly data: string;
  readonly batches: readonly Batch[];
  readonly offsets: ReadonlyMap<number, readonly bigint[]>;
}

/** Asserts that every entry has the rows of its batch, once, and that there are no others. */
async function assertTables(t: TestContext, { data, batches, offsets }: Outcome): Promise<void> {
  const connection = await openStoppedTables(t, data);
  await assertRowsOnce(connection);
  const entries = new Set([...offsets.values()].flat());
  const everything = [...Object.values(ROOT_ROWS), ...Object.values(POINT_ROWS)].join(' UNION ALL ');
  const filled = (await connection.runAndReadAll(`SELECT DISTINCT entry_offset FROM (${everything})`)).getRows();
  assert.deepEqual(new Set(filled.map(([offset]) => offset)), entries, 'rows of other entries than the log has');
  for (const from of new Set(batches.map((batch) => batch.from))) {
    const sql = `SELECT entry_offset, count(*)::INTEGER FROM (${from}) GROUP BY 1`;
    const found = new Map((await connection.runAndReadAll(sql)).getRows() as [bigint, number][]);
    const expected = new Map(
      batches
        .filter((batch) => batch.from === from)
        .flatMap(({ id, rows }) => offsets.get(id)!.map((offset) => [offset, rows] as const)),
    );
    const wrong = [...expected].filter(([offset, rows]) => found.get(offset) !== rows);
    assert.deepEqual(wrong, [], `${from}: entries with too few or too many rows`);
  }
}
