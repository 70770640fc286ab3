/**
 * Goal: streams that live for hours and add to their dictionaries with every batch outlive the segments that they began in, and nothing of
 * them depends on what retention has deleted. Row 22 of the fault tests.
 * Method: senders of all signals with Rust-like streams (test/helpers/growing-streams.ts), some compressed, several batches on their way
 * at once, over real sockets into a real log of small segments and real DuckDB tables. A round is an hour on the log's clock: entries,
 * a stop in the middle of them in some rounds, retention by age and bytes (the tables hold back what they lack), a look at everything,
 * and in some rounds a restart, by closing or with the files as a killed process leaves them. TREASURY_TEST_ROUNDS raises the hours.
 * Streams of toy records, and with faults: test/log/simulation, test/log/invariants.test.ts; streams that end at their limits one by
 * one: test/api/grpc/rotation.test.ts.
 * Invariant: every segment decodes from its own rows alone (I1); without any prefix of its segments, really deleted, the log opens without
 * a complaint and replays the rest (I7); a stream ends with OK at its limit of state and its sender goes on with another; the tables hold
 * every row once, and are the same when they are made anew from what the log has left.
 */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { type GrpcServer, startGrpcServer } from '../../src/api/index.ts';
import { createLogger, type Signal, SIGNAL_CODES, silentLogger } from '../../src/base/index.ts';
import { checkLog, ENTRY_KINDS, type LogEntry, openLog, readEntries, type RetainedLog } from '../../src/log/index.ts';
import { createEntryDecoder } from '../../src/materialize/index.ts';
import type { Engine } from '../../src/materialize/types.ts';
import { intakeOver } from '../api/grpc/grpc-fixture.ts';
import { canonicalRows } from '../helpers/canonical-rows.ts';
import { engineRows, engineUntil, startTestEngine } from '../helpers/engine-log.ts';
import { type GrowingRow, type GrowingStream, growingStream } from '../helpers/growing-streams.ts';
import { connectOtap, type OtapClient, type OtapStream } from '../helpers/otap-client.ts';
import { type Random, seededRandom } from '../helpers/random.ts';
import { scratchDirectory } from '../helpers/server-process.ts';
import type { TelemetryRow } from '../helpers/telemetry-rows.ts';
import { handClock } from '../log/retention-helpers.ts';

const SEED = Number(process.env['TREASURY_TEST_SEED'] ?? 20_261_122);
const ROUNDS = Number(process.env['TREASURY_TEST_ROUNDS'] ?? 4);
const SENDERS: readonly Signal[] = ['logs', 'logs', 'traces', 'traces', 'metrics', 'metrics'];
const BATCHES_A_ROUND = 30;
const ON_THEIR_WAY_MAX = 4;
const HOUR_MS = 3_600_000;
/** Streams live through two of them, or until their limit of state. */
const HOURS: readonly { readonly isStoppedAmongEntries: boolean; readonly restart: 'close' | 'kill' | null }[] = [
  { isStoppedAmongEntries: false, restart: null },
  { isStoppedAmongEntries: true, restart: 'kill' },
  { isStoppedAmongEntries: false, restart: null },
  { isStoppedAmongEntries: false, restart: 'close' },
];
/** 40 batches or so. */
const STATE_BYTES_MAX = 24_000;
/** What one batch adds to the state at most: a schema and a dictionary for each of its columns. */
const BATCH_STATE_BYTES_MAX = 8_000;
const LIMITS = { segmentBytesMax: 100_000, frameEntriesMax: 8, diskReserveBytes: 0, retentionIntervalMs: 1e9 };
const RETENTION = { ageMaxMs: 2.5 * HOUR_MS, bytesMax: 600_000 };

test(`long-lived streams outlive the segments they began in, through ${ROUNDS} hours and restarts (seed ${SEED})`, async (t) => {
  const random = seededRandom(SEED);
  const run = new Run(t, random);
  await run.start();
  for (let round = 0; round < ROUNDS; round++) {
    const { isStoppedAmongEntries, restart } = HOURS[round % HOURS.length]!;
    await run.send(round, isStoppedAmongEntries);
    run.clock.pass(HOUR_MS);
    await run.look(round);
    if (restart !== null) await run.restart(restart);
  }
  await run.lookAtTablesMadeAnew();
  await run.stop();
  const { ended, deleted, segmentsOfStream, orphans, resent } = run.seen;
  // Often enough to mean something.
  assert.ok(ended >= SENDERS.length, `${ended} streams ended at their limit of state`);
  assert.ok(resent > 0, 'no batch was sent again');
  assert.ok(deleted > ROUNDS, `${deleted} segments were deleted`);
  assert.ok(segmentsOfStream > 2, `a stream lived in ${segmentsOfStream} segments at most`);
  assert.ok(orphans > 0, 'no stream has outlived the segment it began in');
});

/** A row as it is compared, whatever it went through. */
interface FoundRow {
  readonly signal: Signal;
  readonly service: string;
  readonly time: string;
  readonly name: string;
  readonly label: string;
}

interface Batch {
  readonly service: string;
  readonly rows: readonly GrowingRow[];
}

interface Server {
  readonly directory: string;
  readonly log: RetainedLog;
  readonly engine: Engine;
  readonly grpc: GrpcServer;
  readonly client: OtapClient;
}

/** The servers of a run, one after the other, and its senders. */
class Run {
  readonly clock = handClock();
  readonly seen = { ended: 0, deleted: 0, segmentsOfStream: 0, orphans: 0, resent: 0 };
  readonly #random: Random;
  readonly #root: string;
  readonly #senders: Sender[];
  #generation = 0;
  #server: Server | null = null;

  constructor(t: TestContext, random: Random) {
    this.#random = random;
    this.#root = scratchDirectory(t);
    this.#senders = SENDERS.map((signal, place) => new Sender(signal, place, random));
    t.after(() => this.stop());
  }

  async start(): Promise<void> {
    const directory = this.#directory();
    const log = await openLog({
      directory: join(directory, 'log'),
      clock: this.clock,
      limits: LIMITS,
      retention: RETENTION,
    });
    const engine = await startTestEngine(directory, log.status());
    log.onDurable((position) => engine.advance(position));
    const { materializedOffset: offset } = await engine.status();
    log.hold('tables', { offset, policy: 'hold', ask: async () => (await engine.status()).materializedOffset });
    const grpc = await startGrpcServer({
      host: '127.0.0.1',
      port: 0,
      log,
      intake: intakeOver(log),
      logger: silentLogger,
      limits: { streamStateBytesMax: STATE_BYTES_MAX },
    });
    this.#server = { directory, log, engine, grpc, client: await connectOtap(grpc.address) };
  }

  /** `sending` may go on until the streams have ended. */
  async stop(sending?: Promise<void>): Promise<void> {
    const server = this.#server;
    if (server === null) return;
    this.#server = null;
    const stopped = server.grpc.stop();
    await sending;
    await Promise.all(this.#senders.map((sender) => sender.disconnected()));
    this.seen.resent = this.#senders.reduce((sum, { resent }) => sum + resent, 0);
    await stopped;
    const { streamsEnded, streamStateBytes } = server.grpc.status();
    this.seen.ended += streamsEnded.state;
    const { streams, streamStateBytes: loggedStateBytes } = server.log.status();
    server.client.destroy();
    await server.engine.stop();
    await server.log.close();
    const { age, bytes } = server.log.status().retention.deleted;
    this.seen.deleted += age.segments + bytes.segments;
    assert.deepEqual(
      [streamStateBytes, streams, loggedStateBytes],
      [0, 0, 0],
      'state that outlives its stream, in the receiver or the log',
    );
  }

  /** Sends, and lets the server stop and start in the middle of it if told so. */
  async send(round: number, isStoppedAmongEntries: boolean): Promise<void> {
    for (const sender of this.#senders) sender.make(BATCHES_A_ROUND);
    if (isStoppedAmongEntries) {
      const before = this.#random.below(SENDERS.length * BATCHES_A_ROUND);
      const sending = this.#sendAll();
      while (this.#acked() < round * SENDERS.length * BATCHES_A_ROUND + before) {
        await new Promise((resolve) => setImmediate(resolve));
      }
      for (const sender of this.#senders) sender.isStopping = true;
      await this.stop(sending);
      await this.start();
    }
    for (const sender of this.#senders) sender.isStopping = false;
    await this.#sendAll();
    assert.equal(this.#acked(), (round + 1) * SENDERS.length * BATCHES_A_ROUND);
    const { streamStateBytes } = this.#server!.grpc.status();
    const bound = SENDERS.length * (STATE_BYTES_MAX + ON_THEIR_WAY_MAX * BATCH_STATE_BYTES_MAX);
    assert.ok(streamStateBytes <= bound, `streams hold ${streamStateBytes} bytes of state, above ${bound}`);
  }

  /** Nothing is on its way: as a kill leaves the files, so are they now. */
  async restart(end: 'close' | 'kill'): Promise<void> {
    const { directory } = this.#server!;
    this.#generation++;
    if (end === 'kill') cpSync(directory, this.#directory(), { recursive: true });
    await this.stop();
    if (end === 'close') cpSync(directory, this.#directory(), { recursive: true });
    rmSync(directory, { recursive: true });
    await this.start();
  }

  /** Retention, then everything that is to be so. */
  async look(round: number): Promise<void> {
    const { log, engine, directory } = this.#server!;
    const durableOffset = await this.#settled();
    const { quarantinedTotal, lost } = await engineUntil(
      engine,
      ({ materializedOffset, stuck }) => materializedOffset >= durableOffset || stuck !== null,
    );
    assert.deepEqual([quarantinedTotal, lost.total], [0, 0n]);
    await log.sweep();
    const where = `seed ${SEED}, round ${round}`;
    const tables = await tableRows(engine);
    assert.deepEqual(linesOf(tables.values()), linesOf([this.#senders.flatMap(({ acked }) => acked)]), where);
    const copy = join(this.#root, `copy-${round}`);
    cpSync(join(directory, 'log'), copy, { recursive: true });
    await this.#lookAtPrefixes(copy, tables, where);
    rmSync(copy, { recursive: true });
  }

  /** Deletes one segment after the other. */
  async #lookAtPrefixes(copy: string, tables: ReadonlyMap<bigint, FoundRow[]>, where: string): Promise<void> {
    const count = segmentNames(copy).length;
    assert.ok(count > 2, `${count} segments`);
    for (let deleted = 0; deleted < count; deleted++) {
      if (deleted > 0) rmSync(join(copy, segmentNames(copy)[0]!));
      const complaints: string[] = [];
      const logger = createLogger({ format: 'text', level: 'warn', write: (line) => complaints.push(line) });
      const log = await openLog({ directory: copy, clock: this.clock, limits: LIMITS, logger });
      const { firstOffset, gaps } = log.status();
      await log.close();
      const findings = [...checkLog(copy)].flatMap((step) => step.findings);
      assert.deepEqual([complaints, gaps, findings], [[], [], []], `${where}: ${deleted} segments deleted`);
      assert.equal(firstOffset, BigInt(segmentNames(copy)[0]!.split('.')[0]!));
      const entries = [...ownEntries(copy, firstOffset)];
      if (deleted === 0) this.#count(entries);
      const expected = [...tables].filter(([offset]) => offset >= firstOffset);
      assert.deepEqual(await decodedAlone(entries), new Map(expected), `${where}: ${deleted} segments deleted`);
    }
  }

  /** Tables made from a log whose oldest segments are gone hold what is left, row for row. */
  async lookAtTablesMadeAnew(): Promise<void> {
    const { directory, engine } = this.#server!;
    const tables = await tableRows(engine);
    const anew = join(this.#root, 'anew');
    mkdirSync(anew);
    cpSync(join(directory, 'log'), join(anew, 'log'), { recursive: true });
    const names = segmentNames(join(anew, 'log'));
    for (const name of names.slice(0, 1 + this.#random.below(names.length - 1))) rmSync(join(anew, 'log', name));
    const log = await openLog({ directory: join(anew, 'log'), clock: this.clock, limits: LIMITS });
    const { durableOffset, firstOffset } = log.status();
    const other = await startTestEngine(anew, log.status());
    try {
      await engineUntil(other, ({ materializedOffset }) => materializedOffset === durableOffset);
      const expected = [...tables].filter(([offset]) => offset >= firstOffset);
      assert.ok(expected.length > 0, 'no rows are left');
      assert.deepEqual(await tableRows(other), new Map(expected), `seed ${SEED}`);
    } finally {
      await other.stop();
      await log.close();
    }
  }

  /** Resolves when nothing more is written by itself, with the end of the log. */
  async #settled(): Promise<bigint> {
    const { log, grpc } = this.#server!;
    const live = this.#senders.filter(({ isLive }) => isLive).length;
    while (grpc.status().streamsOpen > live) await new Promise((resolve) => setImmediate(resolve));
    // Behind the ends of streams. It has no rows.
    const headers = new Map([['content-type', 'application/x-protobuf']]);
    await log.appendOtlp(SIGNAL_CODES.logs, { batchId: 0n, record: [], headers });
    return log.status().durableOffset;
  }

  #count(entries: readonly LogEntry[]): void {
    const opened = new Set(
      entries.filter(({ kind }) => kind === ENTRY_KINDS.STREAM_OPEN).map((entry) => entry.streamId),
    );
    const segments = new Map<bigint, Set<bigint>>();
    for (const { streamId, segment } of entries) {
      segments.set(streamId, (segments.get(streamId) ?? new Set()).add(segment));
    }
    for (const [streamId, own] of segments) {
      if (!opened.has(streamId)) this.seen.orphans++;
      this.seen.segmentsOfStream = Math.max(this.seen.segmentsOfStream, own.size);
    }
  }

  async #sendAll(): Promise<void> {
    const { client } = this.#server!;
    await Promise.all(this.#senders.map((sender) => sender.send(client)));
  }

  #acked(): number {
    return this.#senders.reduce((sum, { ackedBatches }) => sum + ackedBatches, 0);
  }

  #directory(): string {
    return join(this.#root, `server-${this.#generation}`);
  }
}

/** A stream, and the batches that it has not answered. */
interface Live {
  readonly stream: OtapStream;
  readonly writer: GrowingStream;
  readonly onTheirWay: Batch[];
}

/** Sends batches over streams that live as long as the server lets them. */
class Sender {
  readonly acked: FoundRow[] = [];
  ackedBatches = 0;
  resent = 0;
  /** The server is about to end: no new stream. */
  isStopping = false;
  readonly #signal: Signal;
  readonly #place: number;
  readonly #random: Random;
  readonly #words: string[] = [];
  #made = 0n;
  #waiting: Batch[] = [];
  #live: Live | null = null;

  constructor(signal: Signal, place: number, random: Random) {
    this.#signal = signal;
    this.#place = place;
    this.#random = random;
  }

  get isLive(): boolean {
    return this.#live !== null;
  }

  /** Batches that use what earlier ones have put into the dictionaries, and nearly always something new. */
  make(count: number): void {
    const random = this.#random;
    for (let left = count; left > 0; left--) {
      for (let fresh = random.pick([0, 1, 1, 2, 3]); fresh > 0 || this.#words.length === 0; fresh--) {
        this.#words.push(`word ${this.#words.length} of ${this.#place} ${'-'.repeat(random.pick([0, 8, 40]))}`);
      }
      const word = () => random.pick(random.below(2) === 0 ? this.#words : this.#words.slice(-3));
      const service = word();
      const rows = Array.from({ length: 1 + random.below(6) }, () => {
        const time = TIME + BigInt(this.#place) * 1_000_000_000n + this.#made++;
        return { time, name: word(), label: word() };
      });
      this.#waiting.push({ service, rows });
    }
  }

  /** Sends all that is waiting; opens another stream when one ends. Resolves early when the server stops. */
  async send(client: OtapClient): Promise<void> {
    for (;;) {
      this.#live ??= this.isStopping ? null : this.#open(client);
      if (this.#live === null) return;
      const { stream, writer, onTheirWay } = this.#live;
      while (onTheirWay.length < ON_THEIR_WAY_MAX && this.#waiting.length > 0) {
        const batch = this.#waiting.shift()!;
        onTheirWay.push(batch);
        await stream.send(writer.next(batch.service, batch.rows));
      }
      if (onTheirWay.length === 0) return;
      const status = await stream.nextStatus().catch(() => null);
      if (status === null) {
        await this.disconnected();
        continue;
      }
      assert.equal(status.code, 0, status.message);
      this.#ack(onTheirWay.shift()!);
    }
  }

  /** Resolves when the stream has ended, with OK. What it did not answer was not taken. */
  async disconnected(): Promise<void> {
    const live = this.#live;
    if (live === null) return;
    assert.equal((await live.stream.ended).code, 0, `seed ${SEED}`);
    if (this.#live !== live) return;
    this.#live = null;
    const answered = live.stream.statuses.length;
    assert.ok(answered > 0 || this.isStopping, 'a stream ended without an answer');
    this.#waiting.unshift(...live.onTheirWay);
    this.resent += live.onTheirWay.length;
  }

  #open(client: OtapClient): Live {
    const stream = client.openStream(this.#signal, this.#place % 2 === 1 ? { encoding: 'zstdarrow5' } : {});
    return { stream, writer: growingStream(this.#signal), onTheirWay: [] };
  }

  #ack({ service, rows }: Batch): void {
    this.ackedBatches++;
    for (const { time, name, label } of rows) {
      this.acked.push({ signal: this.#signal, service, time: String(time), name, label });
    }
  }
}

const TIME = 1_700_000_000_000_000_000n;

/** Rows of every entry, each segment decoded by itself. */
async function decodedAlone(entries: readonly LogEntry[]): Promise<Map<bigint, FoundRow[]>> {
  const found = new Map<bigint, FoundRow[]>();
  const segments = new Map<bigint, LogEntry[]>();
  for (const entry of entries) segments.set(entry.segment, [...(segments.get(entry.segment) ?? []), entry]);
  for (const own of segments.values()) {
    const decoder = await createEntryDecoder({
      readSegment: (_segment, end) => own.filter(({ offset }) => offset < end),
    });
    for (const entry of own) {
      const batch = decoder.decode(entry);
      if (batch === null) continue;
      assert.ok(
        typeof batch !== 'string',
        `seed ${SEED}, entry ${entry.offset} alone in its segment: ${String(batch)}`,
      );
      const rows = canonicalRows(batch).map((row) => foundRow(batch.signal, row));
      if (rows.length > 0) found.set(entry.offset, sorted(rows));
    }
  }
  return found;
}

interface OneAttribute {
  readonly attributes: readonly [readonly [string, { readonly s: string }]];
}

/** What `canonicalRows` makes of a row of these streams. */
interface CanonicalForm extends OneAttribute {
  readonly resource: OneAttribute;
  readonly body: { readonly s: string };
  readonly name: string;
  readonly time: string;
  readonly start: string;
  readonly metric: { readonly name: string };
  readonly point: OneAttribute & { readonly time: string };
}

function foundRow(signal: Signal, row: TelemetryRow): FoundRow {
  const { resource, body, name, time, start, metric, point, attributes } = row as unknown as CanonicalForm;
  const label = (of: OneAttribute) => of.attributes[0][1].s;
  const shared = { signal, service: label(resource) };
  if (signal === 'logs') return { ...shared, time, name: body.s, label: label({ attributes }) };
  if (signal === 'traces') return { ...shared, time: start, name, label: label({ attributes }) };
  return { ...shared, time: point.time, name: metric.name, label: label(point) };
}

/** Rows of all tables by the offset of their entry. */
async function tableRows(engine: Engine): Promise<Map<bigint, FoundRow[]>> {
  const rows = await engineRows(
    engine,
    `SELECT entry_offset, 'logs', service_name, epoch_ns(time)::VARCHAR, body, attributes['label'] FROM logs
     UNION ALL SELECT entry_offset, 'traces', service_name, epoch_ns(start_time)::VARCHAR, name, attributes['label'] FROM spans
     UNION ALL SELECT entry_offset, 'metrics', service_name, epoch_ns(time)::VARCHAR, metric_name, attributes['label'] FROM metrics
     ORDER BY ALL`,
  );
  const found = new Map<bigint, FoundRow[]>();
  for (const [entryOffset, signal, service, time, name, label] of rows as string[][]) {
    const offset = BigInt(entryOffset!);
    const row = { signal, service, time, name, label } as unknown as FoundRow;
    found.set(offset, [...(found.get(offset) ?? []), row]);
  }
  for (const [offset, own] of found) found.set(offset, sorted(own));
  return found;
}

function linesOf(rows: Iterable<readonly FoundRow[]>): string[] {
  return [...rows]
    .flat()
    .map((row) => JSON.stringify(row))
    .toSorted();
}

function sorted(rows: readonly FoundRow[]): FoundRow[] {
  return rows.toSorted((a, b) => (a.time < b.time ? -1 : 1));
}

/** Entries whose records outlive the frame they came in. */
function* ownEntries(directory: string, from: bigint): Generator<LogEntry> {
  for (const entry of readEntries(directory, { from })) yield { ...entry, record: Buffer.from(entry.record) };
}

function segmentNames(directory: string): string[] {
  return readdirSync(directory)
    .filter((name) => name.endsWith('.arrows'))
    .toSorted();
}
