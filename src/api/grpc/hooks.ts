/**
 * What the receive path needs of grpc-js beyond its public interface, in one place: the base call of an interceptor (to add
 * encodings, and to see messages before they are decompressed) and the HTTP/2 settings of a server (its flow control window is a
 * fixed 64 KiB otherwise, 1.2 MB/s at 50 ms of round trip). The package is pinned to an exact version; `checkGrpcHooks` says at
 * start, and not under load, when a new one has changed them.
 */
import { PassThrough } from 'node:stream';
import type { ServerHttp2Session, ServerHttp2Stream, Settings } from 'node:http2';
import type { Server, ServerInterceptingCallInterface } from '@grpc/grpc-js';
import { errorMessage, TreasuryError } from '../../base/index.ts';
import { Server as GrpcJsServer, BaseServerInterceptingCall } from './grpc-js.ts';

/** Throws TreasuryError (TREASURY_CONFIG) when the installed grpc-js lacks one of the private hooks. No sockets, no side effects. */
export function checkGrpcHooks(): void {
  const stream = new PassThrough();
  const seen: string[] = [];
  try {
    const call = asBaseCall(
      // The constructor's types want a whole HTTP/2 stream and handler; it reads only what these have.
      new BaseServerInterceptingCall(
        stream as unknown as ServerHttp2Stream,
        { 'grpc-encoding': 'zstd' },
        null,
        { path: '/check', deserialize: raw, serialize: raw, type: 'bidi', func() {} },
        { 'grpc.max_receive_message_length': FRAME_HEADER_BYTES },
      ),
    );
    call.decompressMessage = (frame, encoding) => {
      seen.push(`frame of ${frame.length} bytes in ${encoding}`);
      return frame;
    };
    call.sendStatus = (status) => seen.push(`status ${status.code}`);
    stream.emit('data', Buffer.from([1, 0, 0, 0, 2, 7, 7]));
    stream.emit('data', Buffer.from([0, 0, 0, 0, 99]));
    if (call.stream !== (stream as unknown)) seen.push('no stream');
  } catch (error) {
    throw changed(errorMessage(error));
  }
  const expected = ['frame of 7 bytes in zstd', 'status 8'];
  if (seen.join() !== expected.join()) throw changed(`saw [${seen.join(', ')}], expected [${expected.join(', ')}]`);
  const options = privateOptions(new GrpcJsServer({ 'grpc.enable_channelz': 0 }));
  if (typeof options !== 'object' || options === null) throw changed('a server has no commonServerOptions');
}

/** The base call that the first interceptor of a server gets. */
export interface BaseCall extends ServerInterceptingCallInterface {
  /** Turns a message with its 5-byte header into its content. What it rejects with is sent as status of the call. */
  decompressMessage(frame: Buffer, encoding: string): Buffer | Promise<Buffer>;
  readonly stream: ServerHttp2Stream;
}

/** Length of the header of a gRPC message: one byte of flags, four of length. */
export const FRAME_HEADER_BYTES = 5;

/** The private face of a call; only true of the call that the first interceptor gets. */
export function asBaseCall(call: ServerInterceptingCallInterface): BaseCall {
  return call as BaseCall;
}

/** Sets the flow control window that streams of later connections begin with. Call before the server binds. */
export function setStreamWindow(server: Server, windowBytes: number): void {
  const options = privateOptions(server);
  if (options === undefined) throw changed('a server has no commonServerOptions');
  options.settings = { ...options.settings, initialWindowSize: windowBytes };
}

/** Raises the flow control window of a connection; does nothing on one that is closed. */
export function raiseSessionWindow(session: ServerHttp2Session, windowBytes: number): void {
  if (!session.destroyed && !session.closed) session.setLocalWindowSize(windowBytes);
}

function privateOptions(server: Server): { settings?: Settings } | undefined {
  return (server as unknown as { commonServerOptions?: { settings?: Settings } }).commonServerOptions;
}

function raw<T>(value: T): T {
  return value;
}

function changed(reason: string): TreasuryError {
  return new TreasuryError(
    'TREASURY_CONFIG',
    `Cannot receive over gRPC: the installed @grpc/grpc-js is not the pinned version (${reason})`,
  );
}
