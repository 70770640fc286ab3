/** Work for a server whose files fail: entries of all kinds over several connections, and an account of what was answered. */
import assert from 'node:assert/strict';
import { linkSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { create, toBinary } from '@bufbuild/protobuf';
import { type Signal, SIGNALS } from '../../src/base/index.ts';
import { ENTRY_KINDS, readEntries } from '../../src/log/index.ts';
import { createStreamInspector } from '../../src/otap/index.ts';
import { statusDetails } from '../api/grpc/otlp-messages.ts';
import { readArrowStreams } from './captures.ts';
import { loaderFlags } from './checkout.ts';
import { connectOtap, type OtapClient } from './otap-client.ts';
import { createOtlpHttpClient, exportGrpc, type OtlpHttpClient } from './otlp-client.ts';
import { OTLP_REQUEST_SCHEMAS } from './otlp-json.ts';
import type { ServerProcess } from './server-process.ts';

/** For `startServerProcess`: a server that rotates, deletes and flushes after a few requests. */
export const SMALL_LIMITS_ENV = {
  NODE_OPTIONS: [...loaderFlags, '--import', fileURLToPath(new URL('./small-limits.ts', import.meta.url))].join(' '),
};

/** How an entry was answered. `gone`: the connection broke. */
export type Answer = 'ok' | 'unavailable' | 'gone';

const GRPC_OK = 0;
const GRPC_UNAVAILABLE = 14;
/** Fills a segment of SMALL_LIMITS_ENV alone. */
const LARGE_BYTES = 270_000;
const MESSAGES_A_STREAM = 2;

/** What was sent to one data directory by any number of servers, and what of it was acknowledged. */
export class WriteAccount {
  /** Records as the log should hold them, by what they are found by; OTLP ones by themselves. */
  readonly #acked = new Map<string, Buffer>();
  readonly #data: string;
  readonly #archive: string;
  #number = 0;

  constructor(t: { after(fn: () => void): void }, data: string) {
    this.#data = data;
    this.#archive = mkdtempSync(join(data, '..', 'treasury-archive-'));
    mkdirSync(join(this.#archive, 'log'));
    const timer = setInterval(() => this.archive(), 100);
    t.after(() => {
      clearInterval(timer);
      rmSync(this.#archive, { recursive: true, force: true });
    });
  }

  get acknowledged(): number {
    return this.#acked.size;
  }

  nextNumber(): number {
    return ++this.#number;
  }

  acknowledge(key: string, record: Buffer): void {
    this.#acked.set(key, record);
  }

  /** Links the segments to where retention does not come, as a directory with a log of all that there ever was. */
  archive(): string {
    const from = join(this.#data, 'log');
    for (const name of namesIn(from)) {
      if (!name.endsWith('.arrows')) continue;
      const [source, target] = [join(from, name), join(this.#archive, 'log', name)];
      const [there, here] = [statSync(source, { throwIfNoEntry: false }), statSync(target, { throwIfNoEntry: false })];
      if (there === undefined || there.ino === here?.ino) continue;
      rmSync(target, { force: true });
      try {
        linkSync(source, target);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      }
    }
    return this.#archive;
  }

  /** Asserts that the log has, or had until retention took it, all that was acknowledged, byte for byte and once. Server stopped. */
  assertHeld(hint: string): void {
    const found = new Map<string, Buffer[]>();
    for (const { kind, batchId, record } of readEntries(join(this.archive(), 'log'), { from: 0n })) {
      if (kind !== ENTRY_KINDS.BAR && kind !== ENTRY_KINDS.OTLP) continue;
      const bytes = Buffer.from(record);
      const key = kind === ENTRY_KINDS.BAR ? keyOfBatch(batchId) : keyOfRequest(bytes);
      found.set(key, [...(found.get(key) ?? []), bytes]);
    }
    const lost = [...this.#acked]
      .filter(([key, record]) => found.get(key)?.length !== 1 || !found.get(key)![0]!.equals(record))
      .map(([key]) => `${key}: ${found.get(key)?.length ?? 0} times`);
    assert.deepEqual(lost, [], `acknowledged entries that the log does not hold once, byte for byte (${hint})`);
  }
}

/** The clients of one server. */
export class WriteScript {
  readonly #server: ServerProcess;
  readonly #account: WriteAccount;
  readonly #otap: OtapClient;
  readonly #grpc: OtapClient;
  readonly #http: OtlpHttpClient;

  static async connect(server: ServerProcess, account: WriteAccount): Promise<WriteScript> {
    const [otap, grpc] = await Promise.all([connectOtap(server.grpc), connectOtap(server.grpc)]);
    return new WriteScript(server, account, otap, grpc, await createOtlpHttpClient(server.otlpHttp));
  }

  private constructor(
    server: ServerProcess,
    account: WriteAccount,
    otap: OtapClient,
    grpc: OtapClient,
    http: OtlpHttpClient,
  ) {
    this.#server = server;
    this.#account = account;
    this.#otap = otap;
    this.#grpc = grpc;
    this.#http = http;
  }

  /**
   * Sends streams and requests of all signals, with two entries that fill a segment each, so that the log rotates twice. Asserts that
   * none is answered by anything but success or a refusal that senders repeat.
   */
  async cycle(): Promise<Answer[]> {
    const first = await Promise.all([
      ...SIGNALS.map((signal) => this.#stream(signal)),
      ...SIGNALS.map(async (signal) => [await this.#grpcExport(signal)]),
      ...SIGNALS.map(async (signal) => [await this.httpExport(signal)]),
    ]);
    const answers = first.flat();
    for (let i = 0; i < 2; i++) answers.push(await this.httpExport('logs', LARGE_BYTES), await this.httpExport('logs'));
    return answers;
  }

  /** Sends one OTLP request over HTTP. */
  async httpExport(signal: Signal, bytes = 0): Promise<Answer> {
    const body = requestOf(signal, this.#account.nextNumber(), bytes);
    const { status, headers } = await this.#http.export(signal, body);
    if (status === 0) return 'gone';
    assert.ok(status === 200 || status === 503, `OTLP/HTTP answered ${status}\n${this.#server.stderr()}`);
    if (status === 503) assert.ok(headers['retry-after'] !== undefined, 'a refusal says when to come again');
    else this.#account.acknowledge(keyOfRequest(body), body);
    return status === 200 ? 'ok' : 'unavailable';
  }

  close(): void {
    this.#otap.destroy();
    this.#grpc.destroy();
    this.#http.close();
  }

  async #grpcExport(signal: Signal): Promise<Answer> {
    const body = requestOf(signal, this.#account.nextNumber(), 0);
    const { code, message, headers, trailers } = await exportGrpc(this.#grpc, signal, body);
    if (code === GRPC_UNAVAILABLE) {
      const { retryAfterMs } = statusDetails(trailers['grpc-status-details-bin'] ?? headers['grpc-status-details-bin']);
      assert.ok(retryAfterMs !== null && retryAfterMs > 0, 'a refusal over gRPC says when to come again');
    }
    return this.#answerOf(code, message, () => this.#account.acknowledge(keyOfRequest(body), body));
  }

  async #stream(signal: Signal): Promise<Answer[]> {
    const captured = readArrowStreams('rich-1').find(({ arrowSignal, messages }) => {
      return arrowSignal === signal && messages.length > 0;
    })!;
    const inspector = createStreamInspector(signal);
    const stream = this.#otap.openStream(signal);
    const records = new Map<bigint, Buffer>();
    for (const message of captured.messages.slice(0, MESSAGES_A_STREAM)) {
      const batch = Buffer.concat([message, batchIdField(this.#account.nextNumber())]);
      const { batchId, record } = inspector.inspect(batch);
      records.set(batchId, Buffer.concat(record));
      await stream.send(batch);
    }
    stream.halfClose();
    const { code, message } = await stream.ended;
    const answers = stream.statuses.map((status) =>
      this.#answerOf(status.code, status.message, () =>
        this.#account.acknowledge(keyOfBatch(status.batchId), records.get(status.batchId)!),
      ),
    );
    if (answers.length < records.size) answers.push(this.#answerOf(code === GRPC_OK ? -1 : code, message, () => {}));
    return answers;
  }

  #answerOf(code: number, message: string, acknowledge: () => void): Answer {
    if (code === -1) return 'gone';
    const text = `gRPC answered ${code}: ${message}\n${this.#server.stderr()}`;
    assert.ok(code === GRPC_OK || code === GRPC_UNAVAILABLE, text);
    if (code === GRPC_OK) acknowledge();
    return code === GRPC_OK ? 'ok' : 'unavailable';
  }
}

function keyOfBatch(batchId: bigint): string {
  return `batch ${batchId}`;
}

/** The number stands in the request's only name, behind a mark. */
function keyOfRequest(record: Buffer): string {
  return /number-\d+/.exec(record.toString('latin1'))![0];
}

function requestOf(signal: Signal, number: number, bytes: number): Buffer {
  const text = `number-${number} `.padEnd(bytes, 'x');
  const time = BigInt(number);
  const schema = OTLP_REQUEST_SCHEMAS[signal];
  const value = {
    logs: { resourceLogs: [{ scopeLogs: [{ logRecords: [{ timeUnixNano: time, body: stringValue(text) }] }] }] },
    traces: { resourceSpans: [{ scopeSpans: [{ spans: [{ startTimeUnixNano: time, name: text }] }] }] },
    metrics: { resourceMetrics: [{ scopeMetrics: [{ metrics: [gauge(text, time)] }] }] },
  }[signal];
  return Buffer.from(toBinary(schema, create(schema, value as never)));
}

function stringValue(value: string): object {
  return { value: { case: 'stringValue', value } };
}

function gauge(name: string, timeUnixNano: bigint): object {
  const value = { dataPoints: [{ timeUnixNano, value: { case: 'asDouble', value: 1 } }] };
  return { name, data: { case: 'gauge', value } };
}

/** The batch id of a message: protobuf takes the last occurrence of a field. */
function batchIdField(id: number): Buffer {
  const field = [0x08];
  for (let rest = id; ; rest >>>= 7) {
    if (rest < 0x80) return Buffer.from([...field, rest]);
    field.push((rest & 0x7f) | 0x80);
  }
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
