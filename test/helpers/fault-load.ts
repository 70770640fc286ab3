/** A server under a fault as a sender and an operator see it: units of both protocols that can be found in the log again, and health. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { Agent, get } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ENTRY_KINDS, readEntries } from '../../src/log/index.ts';
import { readArrowStreams } from './captures.ts';
import { type BatchStatus, connectOtap, type OtapClient, type OtapStream } from './otap-client.ts';
import { createOtlpHttpClient, exportGrpc, type HttpExportEnd, type OtlpHttpClient } from './otlp-client.ts';
import { lengthField, varintField } from './otlp-wire-messages.ts';
import type { ServerProcess } from './server-process.ts';

const UNAVAILABLE = 14;
/** A field that neither protocol knows: readers pass it by, the log keeps it. */
const PADDING_FIELD = 1000;
const RESUME_MAX_MS = 5_000;
const POLL_MS = 50;

/** Units that were sent and how they were answered, over all servers of a test. */
export class SentUnits {
  readonly acked = new Set<bigint>();
  readonly refused = new Set<bigint>();
  #next = 1n;

  next(): bigint {
    return this.#next++;
  }

  note(id: bigint, isAcked: boolean): void {
    (isAcked ? this.acked : this.refused).add(id);
  }

  /** Asserts that the log of a stopped server holds every acknowledged unit exactly once, and nothing that was not sent. */
  assertKept(data: string): void {
    const found = new Map<bigint, number>();
    for (const { kind, batchId, record } of readEntries(join(data, 'log'), { from: firstOffsetOf(data) })) {
      const id = kind === ENTRY_KINDS.BAR ? batchId : kind === ENTRY_KINDS.OTLP ? idOfRequest(record) : null;
      if (id !== null) found.set(id, (found.get(id) ?? 0) + 1);
    }
    const lost = [...this.acked].filter((id) => found.get(id) !== 1);
    assert.deepEqual(lost, [], 'acknowledged units that are not in the log exactly once');
    const foreign = [...found.keys()].filter((id) => !this.acked.has(id) && !this.refused.has(id));
    assert.deepEqual(foreign, [], 'units in the log that nobody sent');
  }
}

/** Connections to a server that stay open: no descriptor is needed once they are there. */
export class FaultLoad {
  readonly units: SentUnits;
  readonly #server: ServerProcess;
  readonly #otap: OtapClient;
  readonly #otlp: OtlpHttpClient;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  #stream: OtapStream | null = null;
  #sent = 0;

  private constructor(server: ServerProcess, units: SentUnits, otap: OtapClient, otlp: OtlpHttpClient) {
    this.units = units;
    this.#server = server;
    this.#otap = otap;
    this.#otlp = otlp;
  }

  static async connect(server: ServerProcess, units: SentUnits): Promise<FaultLoad> {
    return new FaultLoad(server, units, await connectOtap(server.grpc), await createOtlpHttpClient(server.otlpHttp));
  }

  /** Sends one OTAP batch on the stream that the ones before came on, as an exporter would. */
  async otap(paddingBytes = 0): Promise<BatchStatus> {
    const { messages } = readArrowStreams('rich-1').find(({ arrowSignal }) => arrowSignal === 'logs')!;
    if (this.#stream === null || this.#sent === messages.length) {
      this.#stream?.halfClose();
      this.#stream = this.#otap.openStream('logs');
      this.#sent = 0;
    }
    const id = this.units.next();
    const message = Buffer.concat([messages[this.#sent++]!, varintField(1, id), padding(paddingBytes)]);
    await this.#stream.send(message);
    const status = await this.#stream.nextStatus();
    assert.equal(status.batchId, id);
    this.units.note(id, status.code === 0);
    return status;
  }

  /** Sends one OTLP request over HTTP. */
  async otlp(paddingBytes = 0): Promise<HttpExportEnd> {
    const id = this.units.next();
    const end = await this.#otlp.export('logs', requestOf(id, paddingBytes));
    this.units.note(id, end.status === 200);
    return end;
  }

  /** Sends one OTLP request over gRPC; resolves with its status code. */
  async otlpGrpc(paddingBytes = 0): Promise<number> {
    const id = this.units.next();
    const { code } = await exportGrpc(this.#otap, 'logs', requestOf(id, paddingBytes));
    this.units.note(id, code === 0);
    return code;
  }

  /** Sends with each protocol; all are taken. */
  async assertTaken(): Promise<void> {
    const [otap, otlp] = await Promise.all([this.otap(), this.otlp()]);
    assert.deepEqual([otap.code, otlp.status], [0, 200], `${otap.message} ${otlp.body}\n${this.#server.stderr()}`);
  }

  /** Sends with each protocol; all are refused in the way that makes their senders come again. */
  async assertRefused(reason: RegExp): Promise<void> {
    const [otap, otlp, otlpGrpc] = await Promise.all([this.otap(), this.otlp(), this.otlpGrpc()]);
    assert.equal(otap.code, UNAVAILABLE, otap.message);
    assert.match(otap.message, reason);
    assert.equal(otlp.status, 503, String(otlp.body));
    assert.ok(Number(otlp.headers['retry-after']) > 0, 'OTLP over HTTP is told when to come again');
    assert.equal(otlpGrpc, UNAVAILABLE);
  }

  /** A page of the HTTP port, over a connection that is kept. */
  page(path: string): Promise<{ status: number; text: string }> {
    return new Promise((resolve, reject) => {
      get(`http://${this.#server.http}${path}`, { agent: this.#agent }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (part: string) => (text += part));
        response.once('end', () => resolve({ status: response.statusCode!, text }));
      }).once('error', reject);
    });
  }

  /** Waits until readiness is red for a part, and checks that the metrics say so too. */
  async untilRed(part: string, reason: RegExp): Promise<void> {
    const text = await this.#untilReady((status, parts) => status === 503 && reason.test(parts[part]?.reason ?? ''));
    assert.ok(text !== null, `readiness is not red for ${part} with ${reason}: ${(await this.page('/readyz')).text}`);
    assert.match((await this.page('/metrics')).text, new RegExp(`^treasury_healthy\\{part="${part}"\\} 0$`, 'm'));
  }

  /** Waits until all is well again, as long as a server may need for it. */
  async untilWell(): Promise<void> {
    const text = await this.#untilReady((status) => status === 200);
    assert.ok(text !== null, `not well after ${RESUME_MAX_MS} ms: ${(await this.page('/readyz')).text}`);
  }

  close(): void {
    this.#otap.destroy();
    this.#otlp.close();
    this.#agent.destroy();
  }

  async #untilReady(reached: (status: number, parts: Parts) => boolean): Promise<string | null> {
    const deadline = Date.now() + RESUME_MAX_MS;
    for (;;) {
      const { status, text } = await this.page('/readyz');
      if (reached(status, (JSON.parse(text) as { parts: Parts }).parts)) return text;
      if (Date.now() > deadline) return null;
      await sleep(POLL_MS);
    }
  }
}

function firstOffsetOf(data: string): bigint {
  const names = readdirSync(join(data, 'log')).filter((name) => name.endsWith('.arrows'));
  return names.map((name) => BigInt(name.slice(0, -'.arrows'.length))).reduce((a, b) => (a < b ? a : b));
}

type Parts = Readonly<Record<string, { ok: boolean; reason?: string }>>;

/** An OTLP logs request of one record that holds the id. */
function requestOf(id: bigint, paddingBytes: number): Buffer {
  const record = lengthField(5, lengthField(1, Buffer.from(`unit ${id};`)));
  return Buffer.concat([lengthField(1, lengthField(2, lengthField(2, record))), padding(paddingBytes)]);
}

function idOfRequest(record: Uint8Array): bigint {
  const text = Buffer.from(record.buffer, record.byteOffset, Math.min(record.length, 100)).toString('latin1');
  return BigInt(/unit (\d+);/.exec(text)?.[1] ?? -1);
}

function padding(bytes: number): Buffer {
  return bytes === 0 ? Buffer.alloc(0) : lengthField(PADDING_FIELD, Buffer.alloc(bytes));
}
