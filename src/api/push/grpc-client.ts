/** gRPC calls over plain HTTP/2, as bytes: grpc-js has no zstd, and exporters need to know whether a request went out at all. */
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  type IncomingHttpHeaders,
  type IncomingHttpStatusHeader,
} from 'node:http2';
import { gunzipSync } from 'node:zlib';
import { errorMessage, LIMITS, VERSION } from '../../base/index.ts';
import { decompressZstd } from '../../otap/index.ts';
import { decodeRpcStatus, printable } from './answers.ts';
import { clientTls } from './client-tls.ts';
import type { ExporterCompression, ExporterTls } from './types.ts';
import { GRPC_CODES, grpcCodeOfHttp } from './verdicts.ts';

/** How a call ended. */
export interface GrpcEnd {
  readonly code: number;
  readonly message: string;
  readonly retryAfterMs?: number;
  /** Whether there was a connection that could take the request. */
  readonly wasConnected: boolean;
  /** The encodings that the target names, if it does. */
  readonly acceptEncoding: string | null;
}

export interface GrpcCall {
  /** Sends one message, already in the call's encoding. */
  send(content: Uint8Array): void;
  halfClose(): void;
  /** Ends it here; `ended` tells this code and reason. */
  cancel(code: number, reason: string): void;
  /** Settles when it is over; never rejects. */
  readonly ended: Promise<GrpcEnd>;
}

export interface GrpcCallOptions {
  readonly compression: ExporterCompression;
  readonly timeoutMs?: number;
  readonly onMessage: (message: Buffer) => void;
  /** The target is going away and takes no new calls; this one may end as it likes. */
  readonly onGoaway?: () => void;
}

export interface GrpcClient {
  /** Connects first where there is no connection. Does not throw. */
  call(path: string, options: GrpcCallOptions): GrpcCall;
  /** Cuts the connections. */
  close(): void;
}

export interface GrpcClientOptions {
  /** `http://HOST:PORT` or `https://HOST:PORT`. */
  readonly endpoint: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly tls?: ExporterTls;
}

type Received = IncomingHttpHeaders & Partial<IncomingHttpStatusHeader>;

interface Connection {
  readonly session: ClientHttp2Session;
  isConnected: boolean;
  /** Why it ended, once it has. */
  failure: string | null;
}

const FRAME_HEADER_BYTES = 5;
/** What waits to be written, in MB: Node resets streams above it, and the bytes in flight are bounded elsewhere. */
const SESSION_MEMORY_MB_MAX = 1024;

/** A client of one target. Connections are made when needed; one that says goodbye ends with its calls, and the next call has another. */
export function createGrpcClient({ endpoint, headers = {}, tls }: GrpcClientOptions): GrpcClient {
  const connections = new Set<Connection>();
  let current: Connection | null = null;

  function connected(): Connection {
    if (current !== null && !current.session.closed && !current.session.destroyed) return current;
    const session = connect(endpoint, {
      ...clientTls(tls),
      maxSessionMemory: SESSION_MEMORY_MB_MAX,
      settings: { enablePush: false },
    });
    const connection: Connection = { session, isConnected: false, failure: null };
    const timer = setTimeout(() => {
      session.destroy(new Error(`no connection within ${LIMITS.pushConnectMaxMs} ms`));
    }, LIMITS.pushConnectMaxMs);
    session.once('connect', () => {
      connection.isConnected = true;
      clearTimeout(timer);
    });
    session.on('error', (error) => (connection.failure = connectionError(error)));
    session.once('goaway', () => leave(connection));
    session.once('close', () => {
      clearTimeout(timer);
      connections.delete(connection);
      leave(connection);
    });
    connections.add(connection);
    current = connection;
    return connection;
  }

  function leave(connection: Connection): void {
    if (current === connection) current = null;
  }

  return {
    call(path, options) {
      try {
        const connection = connected();
        const stream = connection.session.request(requestHeaders(path, headers, options));
        return openCall(stream, connection, options);
      } catch (error) {
        return failedCall(`Cannot open a call: ${errorMessage(error)}`);
      }
    },
    close() {
      const open = [...connections];
      // Not from within Node's reading of one of them, where this may have been called: that breaks its heap.
      setImmediate(() => {
        for (const { session } of open) session.destroy();
      });
    },
  };
}

function requestHeaders(path: string, headers: Readonly<Record<string, string>>, options: GrpcCallOptions) {
  const { compression, timeoutMs } = options;
  return {
    'user-agent': `otelarrow-treasury/${VERSION}`,
    ...Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value])),
    ':method': 'POST',
    ':path': path,
    'content-type': 'application/grpc',
    te: 'trailers',
    'grpc-accept-encoding': 'identity,gzip,zstd',
    ...(compression === 'none' ? {} : { 'grpc-encoding': compression }),
    ...(timeoutMs === undefined ? {} : { 'grpc-timeout': `${timeoutMs}m` }),
  };
}

function openCall(stream: ClientHttp2Stream, connection: Connection, options: GrpcCallOptions): GrpcCall {
  let received: Received = {};
  const encoding = () => headerText(received['grpc-encoding']) ?? 'identity';
  const messages = createMessageReader(encoding, options.onMessage);
  let cancelled: { code: number; message: string } | null = null;
  let timer: NodeJS.Timeout | undefined;

  function cancel(code: number, message: string): void {
    cancelled ??= { code, message };
    stream.close(constants.NGHTTP2_CANCEL);
  }

  if (options.timeoutMs !== undefined) {
    const { timeoutMs } = options;
    const onTimeout = () => cancel(GRPC_CODES.DEADLINE_EXCEEDED, `no answer within ${timeoutMs} ms`);
    timer = setTimeout(onTimeout, timeoutMs);
  }
  const { onGoaway } = options;
  if (onGoaway !== undefined) {
    connection.session.once('goaway', onGoaway);
    stream.once('close', () => connection.session.off('goaway', onGoaway));
  }
  let streamError = '';
  stream.on('response', (head) => (received = { ...received, ...head }));
  stream.on('trailers', (trailers) => (received = { ...received, ...trailers }));
  stream.on('error', (error: Error) => (streamError = connectionError(error)));
  stream.on('data', (chunk: Buffer) => {
    const fault = messages(chunk);
    if (fault !== null) cancel(GRPC_CODES.INTERNAL, fault);
  });
  // What the target says last ends the call, also while our side is open.
  stream.once('end', () => setImmediate(() => stream.close(constants.NGHTTP2_NO_ERROR)));
  const ended = new Promise<GrpcEnd>((resolve) => {
    stream.once('close', () => {
      clearTimeout(timer);
      const wasConnected = connection.isConnected;
      const acceptEncoding = headerText(received['grpc-accept-encoding']);
      const told = cancelled ?? statusOf(received) ?? lostCall(stream, connection.failure ?? streamError);
      resolve({ ...told, wasConnected, acceptEncoding });
    });
  });
  return {
    send(content) {
      if (stream.destroyed || stream.closed || stream.writableEnded) return;
      const header = Buffer.alloc(FRAME_HEADER_BYTES);
      header[0] = options.compression === 'none' ? 0 : 1;
      header.writeUInt32BE(content.length, 1);
      stream.cork();
      stream.write(header);
      stream.write(content);
      stream.uncork();
    },
    halfClose() {
      if (!stream.destroyed && !stream.closed) stream.end();
    },
    cancel,
    ended,
  };
}

/** The status in headers or trailers, or null when the call was cut off before. */
function statusOf(received: Received): Pick<GrpcEnd, 'code' | 'message' | 'retryAfterMs'> | null {
  const code = headerText(received['grpc-status']);
  if (code === null) {
    const status = received[':status'];
    if (status === undefined || status === 200) return null;
    return { code: grpcCodeOfHttp(status), message: `HTTP ${status}` };
  }
  const message = printable(unescaped(headerText(received['grpc-message']) ?? ''));
  const details = headerText(received['grpc-status-details-bin']);
  const retryAfterMs = details === null ? undefined : decodeRpcStatus(Buffer.from(details, 'base64'))?.retryAfterMs;
  const number = Number(code);
  return {
    code: Number.isInteger(number) ? number : GRPC_CODES.UNKNOWN,
    message,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  };
}

/** A call that ended without a status: the connection broke, or the target reset it. Nothing is known, so it may be tried again. */
function lostCall(stream: ClientHttp2Stream, failure: string): Pick<GrpcEnd, 'code' | 'message'> {
  const { rstCode } = stream;
  const message = failure !== '' ? failure : rstCode ? `the call was reset with ${rstCode}` : 'the connection ended';
  return { code: GRPC_CODES.UNAVAILABLE, message };
}

function failedCall(message: string): GrpcCall {
  const end: GrpcEnd = { code: GRPC_CODES.UNAVAILABLE, message, wasConnected: false, acceptEncoding: null };
  return { send() {}, halfClose() {}, cancel() {}, ended: Promise.resolve(end) };
}

/** Takes bytes as they come and hands out messages; returns what is wrong with them, or null. */
function createMessageReader(
  encoding: () => string,
  onMessage: (message: Buffer) => void,
): (chunk: Buffer) => string | null {
  let buffered: Buffer = Buffer.alloc(0);
  return (chunk) => {
    buffered = buffered.length === 0 ? chunk : Buffer.concat([buffered, chunk]);
    while (buffered.length >= FRAME_HEADER_BYTES) {
      const bytes = buffered.readUInt32BE(1);
      if (bytes > LIMITS.pushAnswerBytesMax) return `an answer has ${bytes} bytes, above ${LIMITS.pushAnswerBytesMax}`;
      if (buffered.length < FRAME_HEADER_BYTES + bytes) return null;
      const content = buffered.subarray(FRAME_HEADER_BYTES, FRAME_HEADER_BYTES + bytes);
      const isCompressed = buffered[0] !== 0;
      buffered = buffered.subarray(FRAME_HEADER_BYTES + bytes);
      let message: Buffer;
      try {
        message = isCompressed ? decompressed(content, encoding()) : content;
      } catch (error) {
        return `an answer cannot be decompressed: ${errorMessage(error)}`;
      }
      onMessage(message);
    }
    return null;
  };
}

/** Go's servers answer in the encoding of the request. */
function decompressed(content: Buffer, encoding: string): Buffer {
  if (encoding === 'zstd') return decompressZstd(content, LIMITS.pushAnswerBytesMax);
  if (encoding === 'gzip') return gunzipSync(content, { maxOutputLength: LIMITS.pushAnswerBytesMax });
  throw new Error(`its encoding is ${encoding}`);
}

/** The message of a connection's error; where several addresses were tried it is in the errors inside. */
export function connectionError(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') return error.errors.map(errorMessage).join(', ');
  return errorMessage(error);
}

function headerText(value: string | string[] | undefined): string | null {
  if (value === undefined) return null;
  return Array.isArray(value) ? value.join(',') : value;
}

function unescaped(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
