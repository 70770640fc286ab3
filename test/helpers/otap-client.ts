/**
 * A gRPC client over plain HTTP/2 that sends exactly the bytes it is told to: any encoding name, any flag, broken frames, no
 * reading, no politeness. Replays captures for tests and benches.
 */
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  type IncomingHttpHeaders,
} from 'node:http2';
import { deflateSync, gzipSync } from 'node:zlib';
import type { Signal } from '../../src/base/index.ts';
import { compressZstd, initZstd } from '../../src/otap/zstd.ts';

/** Opens a connection to `address` (HOST:PORT). */
export async function connectOtap(address: string, options: OtapClientOptions = {}): Promise<OtapClient> {
  await initZstd();
  const session = connect(`http://${address}`, {
    // Node resets streams of a session with more than 10 MB to send.
    maxSessionMemory: SESSION_MEMORY_MB_MAX,
    settings: { enablePush: false, initialWindowSize: options.windowBytes ?? WINDOW_BYTES },
  });
  // A cut connection shows in its streams; without a listener the event would end the test process.
  session.on('error', () => {});
  await new Promise<void>((resolve, reject) => {
    session.once('connect', () => resolve());
    session.once('error', reject);
  });
  return new OtapClient(session);
}

export interface OtapClientOptions {
  /** Flow control window for what the server sends, a stream. */
  readonly windowBytes?: number;
}

export interface CallOptions {
  /** `grpc-encoding`; no header without it. */
  readonly encoding?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Keeps its side open when the server has ended the RPC; a gRPC client closes it. */
  readonly lingers?: boolean;
}

/** How an RPC ended. */
export interface CallEnd {
  /** `grpc-status`, or -1 when the stream was reset. */
  readonly code: number;
  readonly message: string;
  /** Headers and trailers, the latter first. */
  readonly trailers: IncomingHttpHeaders;
  readonly headers: IncomingHttpHeaders;
  /** HTTP/2 error code of the stream: 0 unless reset. */
  readonly resetCode: number;
}

/** A decoded BatchStatus. */
export interface BatchStatus {
  readonly batchId: bigint;
  readonly code: number;
  readonly message: string;
}

const SESSION_MEMORY_MB_MAX = 1000;
const WINDOW_BYTES = 1024 * 1024;
const PACKAGE = 'opentelemetry.proto.experimental.arrow.v1';

/** Path of the method of a signal. */
export const ARROW_PATHS: Readonly<Record<Signal, string>> = {
  logs: `/${PACKAGE}.ArrowLogsService/ArrowLogs`,
  traces: `/${PACKAGE}.ArrowTracesService/ArrowTraces`,
  metrics: `/${PACKAGE}.ArrowMetricsService/ArrowMetrics`,
};

/** One connection. */
export class OtapClient {
  readonly session: ClientHttp2Session;

  constructor(session: ClientHttp2Session) {
    this.session = session;
  }

  /** Opens the Arrow stream of a signal. */
  openStream(signal: Signal, options: CallOptions = {}): OtapStream {
    return new OtapStream(this.call(ARROW_PATHS[signal], options));
  }

  /** Opens any call. */
  call(path: string, options: CallOptions = {}): RawCall {
    const stream = this.session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
      ...(options.encoding === undefined ? {} : { 'grpc-encoding': options.encoding }),
      ...options.headers,
    });
    return new RawCall(stream, options);
  }

  /** Sends one request and takes what comes back. */
  async unary(path: string, request: Uint8Array, options: CallOptions = {}): Promise<CallEnd & { messages: Buffer[] }> {
    const call = this.call(path, options);
    await call.send(request);
    call.halfClose();
    const end = await call.ended;
    return { ...end, messages: call.messages };
  }

  /** Closes the connection once its calls are over. */
  async close(): Promise<void> {
    if (this.session.destroyed) return;
    await new Promise<void>((resolve) => {
      this.session.once('close', () => resolve());
      this.session.close();
    });
  }

  /** Cuts the connection. */
  destroy(): void {
    this.session.destroy();
  }
}

/** A call by its messages. */
export class RawCall {
  readonly stream: ClientHttp2Stream;
  readonly encoding: string;
  /** Settles when the RPC is over; never rejects. */
  readonly ended: Promise<CallEnd>;
  /** Settles with the response headers, or never. */
  readonly responded: Promise<IncomingHttpHeaders>;
  readonly messages: Buffer[] = [];
  onMessage: (message: Buffer) => void = () => {};
  #buffered: Buffer = Buffer.alloc(0);

  constructor(stream: ClientHttp2Stream, options: CallOptions) {
    this.stream = stream;
    this.encoding = options.encoding ?? 'identity';
    let headers: IncomingHttpHeaders = {};
    let trailers: IncomingHttpHeaders = {};
    this.responded = new Promise((resolve) => {
      stream.once('response', (received) => {
        headers = received;
        resolve(received);
      });
    });
    stream.on('trailers', (received) => {
      trailers = received;
    });
    stream.on('data', (chunk: Buffer) => this.#onData(chunk));
    stream.on('error', () => {});
    this.ended = new Promise((resolve) => {
      // The end of what the server says is the end of the RPC, also while this side is open.
      const over = (): void => {
        const all = { ...headers, ...trailers };
        const code = Number(all['grpc-status'] ?? -1);
        const message = decodeMessage(String(all['grpc-message'] ?? ''));
        resolve({ code, message, trailers, headers, resetCode: stream.rstCode ?? 0 });
      };
      stream.once('end', () => {
        setImmediate(() => {
          over();
          if (options.lingers !== true) stream.close(constants.NGHTTP2_NO_ERROR);
        });
      });
      stream.once('close', over);
    });
  }

  /** Sends a message in the call's encoding (`compressed` false: as it is, with flag 0). Settles when it was written. */
  send(message: Uint8Array, options: { compressed?: boolean } = {}): Promise<void> {
    const compressed = options.compressed ?? this.encoding !== 'identity';
    return this.sendFrame(compressed ? compressMessage(message, this.encoding) : message, compressed ? 1 : 0);
  }

  /** Sends bytes as the content of a message, with these flags. */
  sendFrame(content: Uint8Array, flags: number, claimedBytes = content.length): Promise<void> {
    const header = Buffer.alloc(FRAME_HEADER_BYTES);
    header[0] = flags;
    header.writeUInt32BE(claimedBytes, 1);
    return this.write(Buffer.concat([header, content]));
  }

  /** Sends bytes. Settles when they were written, or could not be. */
  write(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve) => {
      if (this.stream.writable) this.stream.write(bytes, () => resolve());
      else resolve();
    });
  }

  /** Takes nothing more, not even into a buffer: the peer soon has no window left. */
  stopReading(): void {
    const { stream } = this as unknown as { stream: { _readableState: { highWaterMark: number } } };
    stream._readableState.highWaterMark = 1;
    this.stream.pause();
  }

  halfClose(): void {
    this.stream.end();
  }

  /** RST_STREAM CANCEL. */
  cancel(): void {
    this.stream.close(constants.NGHTTP2_CANCEL);
  }

  #onData(chunk: Buffer): void {
    this.#buffered = this.#buffered.length === 0 ? chunk : Buffer.concat([this.#buffered, chunk]);
    while (this.#buffered.length >= FRAME_HEADER_BYTES) {
      const end = FRAME_HEADER_BYTES + this.#buffered.readUInt32BE(1);
      if (this.#buffered.length < end) return;
      const message = this.#buffered.subarray(FRAME_HEADER_BYTES, end);
      this.#buffered = this.#buffered.subarray(end);
      this.messages.push(message);
      this.onMessage(message);
    }
  }
}

const FRAME_HEADER_BYTES = 5;

/** A `grpc-message` with its percent escapes undone, or as it is where they are none. */
function decodeMessage(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** An Arrow stream by its statuses. */
export class OtapStream {
  readonly call: RawCall;
  /** All statuses so far, in order of arrival. */
  readonly statuses: BatchStatus[] = [];
  #taken = 0;
  #waiting: { count: number; resolve: () => void }[] = [];
  #isOver = false;

  constructor(call: RawCall) {
    this.call = call;
    call.onMessage = (message) => {
      this.statuses.push(decodeBatchStatus(message));
      this.#wake();
    };
    void call.ended.then(() => {
      this.#isOver = true;
      this.#wake();
    });
  }

  get ended(): Promise<CallEnd> {
    return this.call.ended;
  }

  send(message: Uint8Array, options: { compressed?: boolean } = {}): Promise<void> {
    return this.call.send(message, options);
  }

  halfClose(): void {
    this.call.halfClose();
  }

  cancel(): void {
    this.call.cancel();
  }

  /** The next status that was not taken yet; rejects when the RPC ends without one. */
  async nextStatus(): Promise<BatchStatus> {
    const index = this.#taken++;
    await this.reach(index + 1);
    const status = this.statuses[index];
    if (status === undefined) throw new Error(`Cannot take status ${index}: the RPC ended`);
    return status;
  }

  /** Settles when `count` statuses have arrived, or the RPC is over. */
  reach(count: number): Promise<void> {
    if (this.statuses.length >= count || this.#isOver) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ count, resolve }));
  }

  #wake(): void {
    const isReached = ({ count }: { count: number }): boolean => this.#isOver || this.statuses.length >= count;
    for (const { resolve } of this.#waiting.filter(isReached)) resolve();
    this.#waiting = this.#waiting.filter((waiter) => !isReached(waiter));
  }
}

/** One stream to replay. `test/helpers/captures.ts` reads them. */
export interface ReplayedStream {
  readonly arrowSignal: Signal;
  readonly messages: readonly Uint8Array[];
}

/**
 * Replays the streams of a capture side by side, each with at most `inFlightMax` batches without a status, then half-closes.
 * `isEncoded`: the messages are in the encoding already. Returns for each stream its statuses and its end.
 */
export function replayStreams(
  client: OtapClient,
  streams: readonly ReplayedStream[],
  options: CallOptions & { inFlightMax?: number; isEncoded?: boolean } = {},
): Promise<{ signal: Signal; statuses: readonly BatchStatus[]; end: CallEnd }[]> {
  const { inFlightMax = IN_FLIGHT_MAX } = options;
  return Promise.all(
    streams.map(async ({ arrowSignal: signal, messages }) => {
      const stream = client.openStream(signal, options);
      for (const [index, message] of messages.entries()) {
        await stream.reach(index + 1 - inFlightMax);
        await (options.isEncoded === true ? stream.call.sendFrame(message, 1) : stream.send(message));
      }
      stream.halfClose();
      return { signal, end: await stream.ended, statuses: stream.statuses };
    }),
  );
}

/** Batches that a stock exporter has in flight at most. */
const IN_FLIGHT_MAX = 100;

/** The content of a message in an encoding. */
export function compressMessage(message: Uint8Array, encoding: string): Uint8Array {
  if (encoding === 'gzip') return gzipSync(message);
  if (encoding === 'deflate') return deflateSync(message);
  const zstd = /^zstd(?:arrow(\d+))?$/.exec(encoding);
  if (zstd !== null) return compressZstd(message, Number(zstd[1] ?? 3));
  throw new Error(`Cannot compress a message: the encoding is ${encoding}`);
}

/** Reads a BatchStatus as any protobuf reader would: fields in any order, the last one of a kind counts. */
export function decodeBatchStatus(bytes: Uint8Array): BatchStatus {
  let batchId = 0n;
  let code = 0;
  let message = '';
  for (let at = 0; at < bytes.length; ) {
    const key = bytes[at++]!;
    const [value, end] = readVarint(bytes, at);
    at = end;
    if (key === 0x08) {
      batchId = BigInt.asIntN(64, value);
    } else if (key === 0x10) {
      code = Number(value);
    } else if (key === 0x1a) {
      message = Buffer.from(bytes.subarray(at, at + Number(value))).toString();
      at += Number(value);
    } else {
      throw new Error(`Cannot read a BatchStatus: a field has the key ${key}`);
    }
  }
  return { batchId, code, message };
}

function readVarint(bytes: Uint8Array, start: number): [bigint, number] {
  let value = 0n;
  for (let at = start; ; at++) {
    const byte = bytes[at];
    if (byte === undefined) throw new Error('Cannot read a varint: it is cut off');
    value |= BigInt(byte & 0x7f) << BigInt(7 * (at - start));
    if (byte < 0x80) return [BigInt.asUintN(64, value), at + 1];
  }
}
